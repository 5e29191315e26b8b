//! Asking an instance, and the host it is reached through, by what its configuration loses
//! requests.

use crate::access::Access;
use crate::balancer::MemberName;
use crate::balancer::haproxy::files;
use crate::balancer::haproxy::weak::{Read, Weakness, weaknesses};
use crate::balancer::member::BalancerInstance;
use std::time::Duration;
use zdu_model::fleet::{Instance, Socket};
use zdu_model::ids::{BalancerName, InstanceName};
use zdu_model::time::Millis;

/// How long the host may take to show the files.
const SHOW_TIMEOUT: Duration = Duration::from_secs(5);

/// Something in the configuration of one instance that costs requests, or a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weak {
    /// The balancer.
    pub balancer: BalancerName,
    /// Its instance.
    pub instance: InstanceName,
    /// What it is.
    pub weakness: Weakness,
}

/// Which instance is asked, and about what.
pub(super) struct Asked<'a> {
    pub(super) balancer: &'a BalancerName,
    pub(super) declared: &'a Instance,
    /// The fleet's members behind it.
    pub(super) members: &'a [MemberName],
    /// What passes between the return of a wave and the next one.
    pub(super) soak: Millis,
}

/// One line to the process and one request to its host. Nothing is changed.
pub(super) async fn look(
    asked: Asked<'_>,
    instance: &dyn BalancerInstance,
    access: &Access,
) -> Vec<Weak> {
    let of = |weakness| Weak {
        balancer: asked.balancer.clone(),
        instance: asked.declared.name.clone(),
        weakness,
    };
    let found = match instance.running().await {
        None => Vec::new(),
        Some(Err(error)) => vec![Weakness::not_read(error.to_string())],
        Some(Ok(running)) => {
            let shown = match &running.files {
                Ok(paths) => show(paths, asked.declared, access).await,
                Err(said) => {
                    Err(format!("the process does not say where its configuration lies: {said}"))
                }
            };
            let read = match shown {
                Ok(files) => Read::Files(files),
                Err(why) => Read::Not(access.redactor().mask(&why)),
            };
            weaknesses(asked.members, asked.soak, &running, &read)
        }
    };
    found.into_iter().map(of).collect()
}

/// The files, from the host on which the instance's socket lies.
async fn show(
    paths: &[String],
    declared: &Instance,
    access: &Access,
) -> Result<Vec<files::FileText>, String> {
    match declared.socket {
        Some(Socket::Unix(_)) => {}
        Some(Socket::Tcp(_)) | None => {
            return Err(format!(
                "it is reached by TCP alone, and {} lies on a host that zdu has no way to",
                paths.join(" and ")
            ));
        }
    }
    let script = files::script(paths)?;
    let lost = |error: crate::exec::ChannelError| error.to_string();
    let mut channel = access.channel(declared.via.as_ref()).await.map_err(lost)?;
    let reply = channel.run(&script, None, SHOW_TIMEOUT).await.map_err(lost)?;
    files::read(paths, &reply.stdout)
}
