//! The runtime API: one line of commands in, HAProxy's texts out. Pure over the servers.
//!
//! Every sentence and both tables' headers were read on HAProxy 2.6.12. A cell that no client of
//! this balancer needs is empty.

use std::fmt::Write as _;

use super::Backend;
use super::server::{Admin, Check, FALL, RISE, Server};

/// Header of `show stat`, up to the `-` that ends HAProxy's static columns.
const STAT: &str = "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,\
eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,\
throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx,\
hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot,cli_abrt,\
srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime,rtime,ttime,\
agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise,check_fall,check_health,\
agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate,conn_rate_max,conn_tot,\
intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits,srv_icur,src_ilim,qtime_max,\
ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur,used_conn_cur,need_conn_est,uweight,\
agg_server_status,agg_server_check_status,agg_check_status,-";

const STATE: &str = "# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state \
srv_uweight srv_iweight srv_time_since_last_change srv_check_status srv_check_result \
srv_check_health srv_check_state srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port \
srvrecord srv_use_ssl srv_check_port srv_check_addr srv_agent_addr srv_agent_port";

/// Highest weight HAProxy knows.
const WEIGHT_MAX: u32 = 256;

/// Answers one line: its commands one after the other, each reply with its end mark.
pub(super) fn answer(backend: &Backend, line: &str) -> String {
    let mut text = String::new();
    for command in line.trim_end_matches(['\r', '\n']).split(';') {
        let words: Vec<&str> = command.split_ascii_whitespace().collect();
        text.push_str(&reply(backend, &words));
        // The end mark of every reply.
        text.push('\n');
    }
    text
}

fn reply(backend: &Backend, words: &[&str]) -> String {
    match words {
        ["show", "info", ..] => info(backend),
        ["show", "stat", more @ ..] => stat(backend, more),
        ["show", "servers", "state"] => servers_state(backend),
        ["show", "servers", "state", name, ..] if *name == backend.name => servers_state(backend),
        ["show", "servers", "state", ..] => sentence("Can't find backend."),
        ["set", "server", path, "state", more @ ..] => {
            on_server(backend, path, |server| set_state(server, more.first().copied()))
        }
        ["set", "server", path, ..] => on_server(backend, path, |_| {
            sentence("usage: set server <backend>/<server> state | weight")
        }),
        ["set", "server"] | ["set", "weight"] | ["shutdown", "sessions", "server"] => {
            sentence("Require 'backend/server'.")
        }
        ["set", "weight", path, more @ ..] => {
            on_server(backend, path, |server| set_weight(server, more.first().copied()))
        }
        ["shutdown", "sessions", "server", path, ..] => on_server(backend, path, |server| {
            server.sessions.values().for_each(|session| session.notify_one());
            String::new()
        }),
        _ => sentence(
            "Unknown command, but maybe one of the following ones is a better match:\n  \
             set server <srv> [opts]                 : change a server's state\n  \
             set weight <bk>/<srv>                   : change a server's weight\n  \
             show info                               : report information about the process\n  \
             show servers state [<backend>]          : dump volatile server information\n  \
             show stat                               : report counters for each server\n  \
             shutdown sessions server <bk>/<srv>     : kill sessions on a server",
        ),
    }
}

fn sentence(text: &str) -> String {
    format!("{text}\n")
}

fn on_server(backend: &Backend, path: &str, act: impl FnOnce(&mut Server) -> String) -> String {
    let Some((proxy, name)) = path.split_once('/') else {
        return sentence("Require 'backend/server'.");
    };
    if proxy != backend.name {
        return sentence("No such backend.");
    }
    let mut servers = backend.servers();
    let found = servers.iter_mut().find(|server| server.name == name);
    let reply = found.map(act);
    drop(servers);
    backend.changed();
    reply.unwrap_or_else(|| sentence("No such server."))
}

fn set_state(server: &mut Server, word: Option<&str>) -> String {
    let wanted = match word {
        Some("ready") => Admin::Ready,
        Some("drain") => Admin::Drain,
        Some("maint") => Admin::Maint,
        Some(_) | None => {
            return sentence("'set server <srv> state' expects 'ready', 'drain' and 'maint'.");
        }
    };
    server.set_admin(wanted);
    String::new()
}

fn set_weight(server: &mut Server, word: Option<&str>) -> String {
    let Some(word) = word else {
        return sentence("Require <weight> or <weight%>.");
    };
    let (digits, percent) = match word.strip_suffix('%') {
        Some(digits) => (digits, true),
        None => (word, false),
    };
    let Ok(number) = digits.parse::<i64>() else {
        return sentence("Empty weight string empty or preceded by garbage");
    };
    let highest = i64::from(WEIGHT_MAX);
    let weight = if percent {
        if number < 0 {
            return sentence("Relative weight must be positive.");
        }
        number.saturating_mul(i64::from(server.initial_weight)).div_euclid(100).min(highest)
    } else if (0..=highest).contains(&number) {
        number
    } else {
        return sentence("Absolute weight can only be between 0 and 256 inclusive.");
    };
    server.weight = u32::try_from(weight).unwrap_or(WEIGHT_MAX);
    String::new()
}

fn info(backend: &Backend) -> String {
    let uptime_s = backend.begun.elapsed().as_secs();
    let (days, rest) = (uptime_s / 86_400, uptime_s % 86_400);
    let (hours, minutes, seconds) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "Name: zdu-demo-balancer\nVersion: 2.6-compatible\nProcess_num: 1\nPid: {}\n\
         Uptime: {days}d {hours}h{minutes:02}m{seconds:02}s\nUptime_sec: {uptime_s}\n\
         CurrConns: {}\nStopping: 0\nStart_time_sec: {}\n",
        std::process::id(),
        backend.client_connections(),
        backend.begun_unix_s,
    )
}

/// `show stat [PROXY TYPE SID]`: type is a bit set of which 4 is servers; any id but -1 is one row.
fn stat(backend: &Backend, words: &[&str]) -> String {
    if let [name, ..] = words
        && *name != backend.name
        && *name != "-1"
    {
        return sentence("No such proxy.");
    }
    let kinds: i64 = words.get(1).and_then(|word| word.parse().ok()).unwrap_or(-1);
    let one: i64 = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(-1);
    let mut text = format!("# {STAT},\n");
    if kinds & 4 != 0 {
        for (id, server) in (1_i64..).zip(backend.servers().iter()) {
            if one == -1 || one == id {
                text.push_str(&stat_row(backend, id, server));
            }
        }
    }
    text
}

fn stat_row(backend: &Backend, id: i64, server: &Server) -> String {
    let (check_name, _) = server.check.names();
    let check_status = match server.admin {
        // Paused checks have no status (read on 2.6.12).
        Admin::Maint => String::new(),
        Admin::Ready | Admin::Drain if server.checking => format!("* {check_name}"),
        Admin::Ready | Admin::Drain => check_name.to_owned(),
    };
    let check_code = match server.check {
        Check::Answered(code) if server.admin != Admin::Maint => code.to_string(),
        Check::Answered(_)
        | Check::Initial
        | Check::NotConnected
        | Check::TimedOut
        | Check::BadAnswer => String::new(),
    };
    let cell = |column: &str| -> String {
        match column {
            "pxname" => backend.name.clone(),
            "svname" => server.name.clone(),
            "qcur" | "qmax" | "bck" | "srv_icur" | "idle_conn_cur" | "safe_conn_cur" => "0".into(),
            "scur" | "used_conn_cur" => server.sessions.len().to_string(),
            "smax" => server.sessions_max.to_string(),
            "stot" | "lbtot" => server.sessions_total.to_string(),
            "wredis" => server.redispatched.to_string(),
            "status" => server.status(),
            "weight" | "uweight" => server.weight.to_string(),
            "act" | "pid" => "1".into(),
            "iid" => "3".into(),
            "sid" => id.to_string(),
            "type" => "2".into(),
            "lastchg" => server.changed.elapsed().as_secs().to_string(),
            "check_status" => check_status.clone(),
            "check_code" => check_code.clone(),
            "check_rise" => RISE.to_string(),
            "check_fall" => FALL.to_string(),
            "check_health" => server.health.to_string(),
            "addr" => server.address.to_string(),
            "mode" => "http".into(),
            "-" => "-".into(),
            _ => String::new(),
        }
    };
    let mut row: String = STAT.split(',').map(|column| cell(column) + ",").collect();
    row.push('\n');
    row
}

fn servers_state(backend: &Backend) -> String {
    let mut text = format!("1\n{STATE}\n");
    for (id, server) in (1..).zip(backend.servers().iter()) {
        let (_, check_status) = server.check.names();
        let check_result = match server.check {
            Check::Initial => 0,
            check if check.passed() => 3,
            Check::NotConnected | Check::TimedOut | Check::BadAnswer | Check::Answered(_) => 2,
        };
        // 6: configured and enabled; 14: paused as well.
        let check_state = if server.admin == Admin::Maint { 14 } else { 6 };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "3 {} {id} {} {} {} {} {} {} {} {check_status} {check_result} {} {check_state} 0 0 0 - \
             {} - 0 0 - - 0",
            backend.name,
            server.name,
            server.address.ip(),
            if server.up() { 2 } else { 0 },
            server.admin_bits(),
            server.weight,
            server.initial_weight,
            server.changed.elapsed().as_secs(),
            server.health,
            server.address.port(),
        );
    }
    text
}
