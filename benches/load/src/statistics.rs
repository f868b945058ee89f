//! Samples in nanoseconds, told as percentiles in microseconds.

use std::fmt::Write as _;

/// Every sample is kept: a run is a few seconds, and percentiles of buckets would hide what is looked for.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    pub(crate) fn add(&mut self, nanoseconds: u64) {
        self.0.push(nanoseconds);
    }

    /// A JSON object, or `null` where there is no sample.
    pub(crate) fn json(&mut self) -> String {
        if self.0.is_empty() {
            return "null".to_owned();
        }
        self.0.sort_unstable();
        let mut text = format!("{{\"n\":{}", self.0.len());
        for (name, per_mille) in [("p50", 500), ("p90", 900), ("p99", 990), ("p999", 999), ("max", 1000)] {
            let _ = write!(text, ",\"{name}\":{}", tenths(self.percentile(per_mille)));
        }
        let mean = self.0.iter().sum::<u64>() / self.0.len() as u64;
        let _ = write!(text, ",\"mean\":{}}}", tenths(mean));
        text
    }

    /// Nearest rank.
    fn percentile(&self, per_mille: usize) -> u64 {
        let rank = (self.0.len() * per_mille).div_ceil(1000).max(1);
        self.0[rank - 1]
    }
}

/// Microseconds with one decimal.
fn tenths(nanoseconds: u64) -> String {
    format!("{}.{}", nanoseconds / 1000, nanoseconds % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples = Samples::default();
        assert_eq!(samples.json(), "null");
        (1..=100).rev().for_each(|n| samples.add(n * 1000));
        let want = r#"{"n":100,"p50":50.0,"p90":90.0,"p99":99.0,"p999":100.0,"max":100.0,"mean":50.5}"#;
        assert_eq!(samples.json(), want);
    }
}
