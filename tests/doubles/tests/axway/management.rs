//! The management API as the documents have it.

use serde_json::{Value, json};
use zdu_doubles::axway::{Layout, sha256_hex};

use crate::fleet::{Fleet, get, run};

#[test]
fn the_topology_has_the_documented_shape() {
    let fleet = Fleet::running();
    let document = fleet.management("Node-A", "/api/topology").json();
    let result = &document["result"];
    let keys = |value: &Value| -> Vec<String> {
        value.as_object().expect("an object").keys().cloned().collect()
    };
    let mut expected = [
        "id",
        "version",
        "timestamp",
        "productVersion",
        "hosts",
        "groups",
        "uniqueIdCounters",
        "fips",
        "services",
    ];
    expected.sort_unstable();
    assert_eq!(keys(result), expected);
    assert_eq!(result["productVersion"], "7.5.3");
    assert_eq!(result["hosts"][0], json!({"id": "host-1", "name": "Node-A"}));
    let managers = &result["groups"][0];
    assert_eq!(
        (&managers["id"], &managers["name"]),
        (&json!("group-1"), &json!("Node Manager Group"))
    );
    let admins: Vec<_> = managers["services"]
        .as_array()
        .expect("services")
        .iter()
        .map(|service| service["tags"]["internal_admin_nm"] == "true")
        .collect();
    assert_eq!(admins, [true, false, true]);
    assert_eq!(
        result["groups"][1]["services"][1],
        json!({
            "id": "instance-2", "name": "Gateway 1", "type": "gateway", "scheme": "http",
            "hostID": "host-2", "managementPort": 8085, "tags": {}, "enabled": true,
        })
    );
    assert_eq!(result["services"].as_array().expect("services").len(), 6);
    let on_disk = Layout::new(&fleet.old_dir("Node-B")).topology_file();
    let on_disk = std::fs::read_to_string(on_disk).expect("topology.json");
    assert_eq!(serde_json::from_str::<Value>(&on_disk).expect("JSON"), *result);
}

#[test]
fn parts_and_filters_of_the_topology_are_served() {
    let fleet = Fleet::running();
    let hosts = fleet.management("Node-B", "/api/topology/hosts").json();
    assert_eq!(hosts["result"].as_array().expect("hosts").len(), 3);
    let groups = fleet.management("Node-B", "/api/topology/groups").json();
    assert_eq!(groups["result"][2]["name"], "GatewayManager Group");
    let filtered = fleet.management("Node-B", "/api/topology?serviceType=gateway").json();
    let services = filtered["result"]["services"].as_array().expect("services").clone();
    assert_eq!(services.len(), 3);
    assert!(services.iter().all(|service| service["type"] == "gateway"));
}

#[test]
fn the_management_api_wants_credentials_and_the_right_ones_where_configured() {
    let fleet = Fleet::with(|spec| spec.secrets.password = Some(sha256_hex("other")));
    let port = fleet.node("Node-A").management_port;
    let without = get(&fleet.address, port, "/api/topology", "").expect("an answer");
    assert_eq!(without.status, 401);
    assert!(without.head.contains("www-authenticate: basic"), "{without:?}");
    assert_eq!(fleet.management("Node-A", "/api/topology").status, 401);
    // admin:other
    let right = "authorization: Basic YWRtaW46b3RoZXI=\r\n";
    assert_eq!(get(&fleet.address, port, "/api/topology", right).expect("an answer").status, 200);
}

#[test]
fn the_status_of_a_service_is_a_field_and_not_an_http_status() {
    let fleet = Fleet::running();
    let words = ["-n", "Gateway 1", "-g", "Gateway Group", "-k"];
    run(&Layout::new(&fleet.old_dir("Node-B")).startinstance(), &words, "").succeeded();
    for (service, result) in [
        ("group-2/instance-1", "0"),
        ("group-2/instance-2", "3"),
        ("group-1/nodemanager-3", "0"),
        ("group-2/instance-9", "-1"),
    ] {
        let answer = fleet.management("Node-A", &format!("/api/management/status/{service}"));
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["result"], result, "{service}");
        assert_eq!(answer.json()["errors"].is_array(), result == "-1", "{service}");
    }
}

#[test]
fn the_version_of_an_instance_is_asked_through_the_router() {
    let fleet = Fleet::running();
    let path = |id| format!("/api/router/service/{id}/api/management/serviceversion");
    let answer = fleet.management("Node-A", &path("instance-3"));
    assert_eq!(answer.json(), json!({"result": "7.5.3"}));
    assert_eq!(fleet.management("Node-A", &path("instance-9")).status, 404);
    let words = ["-n", "Gateway 2", "-g", "GatewayManager Group", "-k"];
    run(&Layout::new(&fleet.old_dir("Node-C")).startinstance(), &words, "").succeeded();
    assert_eq!(fleet.management("Node-A", &path("instance-3")).status, 502);
}

#[test]
fn deployments_of_a_consistent_group_have_equal_ids() {
    let fleet = Fleet::running();
    let all = fleet.management("Node-A", "/api/deployment/domain/deployments").json();
    let id = |group: &str, instance: &str| {
        all["result"][group][instance]["rootProperties"]["Id"].as_str().expect("an id").to_owned()
    };
    assert_eq!(id("group-2", "instance-1"), id("group-2", "instance-2"));
    assert_ne!(id("group-2", "instance-1"), id("group-3", "instance-3"));
}

#[test]
fn deployments_of_an_inconsistent_group_have_different_ids() {
    let fleet = Fleet::with(|spec| {
        spec.topology.nodes[1].instances[0].deployment = Some("another archive".to_owned());
    });
    let all = fleet.management("Node-A", "/api/deployment/domain/deployments").json();
    let of = |instance: &str| all["result"]["group-2"][instance]["rootProperties"]["Id"].clone();
    assert_eq!(of("instance-2"), "another archive");
    assert_ne!(of("instance-1"), of("instance-2"));
}
