//! The command line, read by hand: a dozen options do not deserve a library.

use std::net::SocketAddr;
use std::time::Duration;

use crate::answers::Kind;
use crate::lane::{Ask, Lane};
use crate::orders;

/// A run of the clients.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) lanes: Vec<(SocketAddr, String, String)>,
    pub(crate) ask: Ask,
    pub(crate) clients: usize,
    pub(crate) block: u64,
    pub(crate) duration: Duration,
    pub(crate) spread: Duration,
    pub(crate) leave_percent: u64,
    pub(crate) stall: Duration,
}

impl Plan {
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        self.lanes.iter().map(|(address, path, model)| Lane::new(*address, path, model, &self.ask)).collect()
    }
}

/// The port of `mock`; 0 lets the system choose.
pub(crate) fn mock(words: impl Iterator<Item = String>) -> Result<u16, String> {
    let mut port = 0;
    for (name, value) in pairs(words)? {
        match name.as_str() {
            "--port" => port = parsed(&name, &value)?,
            _ => return Err(format!("mock has no option {name}")),
        }
    }
    Ok(port)
}

pub(crate) fn run(words: impl Iterator<Item = String>) -> Result<Plan, String> {
    let (mut targets, mut paths, mut models) = (Vec::new(), Vec::new(), Vec::new());
    let mut plan = Plan {
        lanes: Vec::new(),
        ask: Ask {
            kind: Kind::Chat,
            stream: false,
            size: 1024,
            orders: String::new(),
            chunks: 0,
            fallback: None,
            headers: Vec::new(),
        },
        clients: 1,
        block: 50,
        duration: Duration::from_secs(1),
        spread: Duration::ZERO,
        leave_percent: 0,
        stall: Duration::from_secs(10),
    };
    for (name, value) in pairs(words)? {
        match name.as_str() {
            "--target" => targets.push(parsed::<SocketAddr>(&name, &value)?),
            "--path" => paths.push(value),
            "--model" => models.push(value),
            "--header" => plan.ask.headers.push(value),
            "--kind" => plan.ask.kind = kind(&value)?,
            "--stream" => plan.ask.stream = true,
            "--size" => plan.ask.size = parsed(&name, &value)?,
            "--orders" => plan.ask.orders = value,
            "--fallback" => plan.ask.fallback = Some(value),
            "--clients" => plan.clients = parsed(&name, &value)?,
            "--block" => plan.block = parsed::<u64>(&name, &value)?.max(1),
            "--seconds" => plan.duration = seconds(&name, &value)?,
            "--spread-ms" => plan.spread = Duration::from_millis(parsed(&name, &value)?),
            "--leave" => plan.leave_percent = parsed(&name, &value)?,
            "--stall" => plan.stall = seconds(&name, &value)?,
            _ => return Err(format!("run has no option {name}")),
        }
    }
    plan.ask.chunks = orders::read(format!("[[bench {}]]", plan.ask.orders).as_bytes()).chunks;
    plan.lanes = lanes(targets, &paths, &models, plan.ask.kind)?;
    if plan.clients == 0 || (plan.lanes.len() > 1 && plan.clients != 1) {
        return Err("--clients is at least 1, and 1 where there are several targets".to_owned());
    }
    Ok(plan)
}

fn lanes(
    targets: Vec<SocketAddr>,
    paths: &[String],
    models: &[String],
    kind: Kind,
) -> Result<Vec<(SocketAddr, String, String)>, String> {
    if targets.is_empty() {
        return Err("run needs a --target".to_owned());
    }
    let (path, model) = match kind {
        Kind::Chat => ("/v1/chat/completions", "gpt-4o-mini"),
        Kind::Embeddings => ("/v1/embeddings", "text-embedding-3-small"),
        Kind::Messages => ("/v1/messages", "claude-sonnet-4-5"),
    };
    let of = |values: &[String], at: usize, otherwise: &str| {
        values.get(at).or(values.last()).map_or_else(|| otherwise.to_owned(), Clone::clone)
    };
    Ok(targets.into_iter().enumerate().map(|(at, t)| (t, of(paths, at, path), of(models, at, model))).collect())
}

/// `--name value`, but `--stream` alone.
fn pairs(mut words: impl Iterator<Item = String>) -> Result<Vec<(String, String)>, String> {
    let mut out = Vec::new();
    while let Some(name) = words.next() {
        let value = if name == "--stream" {
            String::new()
        } else {
            words.next().ok_or_else(|| format!("{name} needs a value"))?
        };
        out.push((name, value));
    }
    Ok(out)
}

fn parsed<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} cannot be {value:?}"))
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    Duration::try_from_secs_f64(parsed(name, value)?).map_err(|_| format!("{name} cannot be {value:?}"))
}

fn kind(value: &str) -> Result<Kind, String> {
    match value {
        "chat" => Ok(Kind::Chat),
        "embeddings" => Ok(Kind::Embeddings),
        "messages" => Ok(Kind::Messages),
        _ => Err(format!("--kind cannot be {value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(text: &str) -> Result<Plan, String> {
        run(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn one_path_and_model_serve_all_targets() {
        let plan = plan("--target 127.0.0.1:1 --target 127.0.0.1:2 --model a --model b --path /x --stream").unwrap();
        let told: Vec<(u16, &str, &str)> = plan.lanes.iter().map(|(t, p, m)| (t.port(), &p[..], &m[..])).collect();
        assert_eq!(told, [(1, "/x", "a"), (2, "/x", "b")]);
        assert!(plan.ask.stream);
    }

    #[test]
    fn what_cannot_be_is_said() {
        assert_eq!(plan("").unwrap_err(), "run needs a --target");
        assert_eq!(plan("--target 127.0.0.1:1 --seconds -1").unwrap_err(), "--seconds cannot be \"-1\"");
        assert_eq!(plan("--bogus 1").unwrap_err(), "run has no option --bogus");
        assert_eq!(plan("--target").unwrap_err(), "--target needs a value");
    }

    #[test]
    fn the_chunks_to_expect_are_those_ordered() {
        let words = ["--target", "127.0.0.1:1", "--orders", "chunks=64 interval_us=20000"];
        assert_eq!(run(words.into_iter().map(str::to_owned)).unwrap().ask.chunks, 64);
    }
}
