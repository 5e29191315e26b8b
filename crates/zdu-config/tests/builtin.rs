//! What comes with zdu can be loaded.
#[test]
fn the_reference_configuration_loads() {
    let files = std::collections::BTreeMap::from([("axway-reference.yaml".to_owned(), zdu_config::reference_config().as_bytes().to_vec())]);
    match zdu_config::load("axway-reference.yaml", &files) {
        Ok(config) => println!("{:#?}", config.warnings),
        Err(found) => panic!("{}", found.iter().map(|d| d.to_string()).collect::<Vec<_>>().join("\n")),
    }
}
