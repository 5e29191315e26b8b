//! A try of the demo's pieces: lays the fleet out, sends traffic for two seconds, tears it down.
mod demo;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use demo::balancer::{Balancer, BalancerSpec};
use demo::fleet::{BACKEND, CHECK_PATH};

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == "double") {
        let code = zdu_doubles::main(words.into_iter().skip(1).collect());
        return ExitCode::from(u8::try_from(code).unwrap_or(1));
    }
    match try_pieces(words.first().and_then(|word| word.to_str())) {
        Ok(text) => {
            drop(writeln!(std::io::stdout(), "{text}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            drop(writeln!(std::io::stderr(), "{error}"));
            ExitCode::FAILURE
        }
    }
}

fn try_pieces(fail: Option<&str>) -> Result<String, Box<dyn std::error::Error>> {
    let begun = Instant::now();
    let dir = demo::directory::make(None::<&Path>)?;
    let fleet =
        demo::fleet::lay_out(&dir, &zdu_doubles::axway::Launcher::this_program(&["double"])?)?;
    if let Some(fail) = fail {
        fleet.plant(&fail.parse()?)?;
    }
    let laid_out = begun.elapsed();
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(async {
        let spec = BalancerSpec {
            backend: BACKEND.to_owned(),
            servers: fleet.servers(),
            check_path: CHECK_PATH.to_owned(),
            front: "127.0.0.1:0".parse()?,
            socket: demo::directory::socket_path(&dir)?,
            api: None,
        };
        let balancer = Balancer::start(spec).await?;
        let all = balancer.all_serve(Duration::from_secs(5)).await;
        all.map_err(|names| format!("{} do not serve", names.join(", ")))?;
        let came_up = begun.elapsed();
        std::fs::write(
            dir.join("zdu.yaml"),
            fleet.configuration(balancer.front(), balancer.socket()),
        )?;
        let traffic = demo::traffic::Traffic::start(balancer.front());
        tokio::time::sleep(Duration::from_secs(2)).await;
        let so_far = traffic.so_far();
        let report = traffic.stop().await;
        Ok::<_, Box<dyn std::error::Error>>(format!(
            "{laid_out:?} {came_up:?} {so_far:?}\n{report}"
        ))
    })?;
    Ok(format!(
        "{report}{} nodes, {} ended in {}",
        fleet.nodes().len(),
        fleet.tear_down()?,
        dir.display()
    ))
}
