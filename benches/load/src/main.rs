//! The two ends of a bench in one binary, each single-threaded on one epoll set.
//!
//! `bench-load mock` is the provider: it answers in the words of OpenAI and Anthropic, from rendered bytes, and takes
//! its orders from the prompt, because the prompt is what every gateway passes on. `bench-load run` is the clients: a
//! closed loop over kept connections which checks each answer and prints what it saw as one JSON object.
#![forbid(unsafe_code)]

mod answers;
mod arguments;
mod check;
mod client;
mod clients;
mod clock;
mod http;
mod lane;
mod mock;
mod orders;
mod statistics;

use std::process::ExitCode;

const USAGE: &str = "\
bench-load mock [--port N]
bench-load run --target HOST:PORT [--target HOST:PORT ...] [options]

  --kind chat | embeddings | messages    what is asked for (chat)
  --path PATH       of the request, one per target or one for all
  --model NAME      one per target or one for all
  --header 'a: b'   for every target; any number
  --stream          as an event stream
  --size BYTES      of the request body (1024)
  --orders TEXT     for the mock, such as 'chunks=64 interval_us=20000 delay_us=0 status=500 every=100 cut=10'
  --fallback NAME   a member `fallbacks` with this model
  --clients N       connections per target (1); with more than one target they take turns, one connection each
  --block N         requests before the turn passes (50)
  --seconds S       how long requests are begun (1.0)
  --spread-ms MS    over which the clients begin (0)
  --leave PERCENT   of the requests whose client leaves in the middle of the answer (0)
  --stall S         without an answer after which a request counts as wrong (10)
";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let outcome = match words.next().as_deref() {
        Some("mock") => arguments::mock(words).and_then(|port| mock::serve(port).map_err(|e| e.to_string())),
        Some("run") => arguments::run(words).and_then(|plan| clients::run(&plan)),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::from(2)
        }
    }
}
