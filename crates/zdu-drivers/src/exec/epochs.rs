//! The newest epoch of a fleet a node has seen: how it comes to know one, and what it says of it.

use std::time::Duration;

use super::channel::Channel;
use super::quote::{quote, quote_all};
use super::spec::{file_name, shell_epoch};
use super::supervisor::{
    StepState, Supervisor, SupervisorError, first_line, read_state, unreadable,
};

impl Supervisor {
    /// Makes the node know `epoch`, so that from now on it refuses older ones. Returns the newest
    /// epoch seen when that is newer.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn fence(
        &self,
        channel: &mut Channel,
        fleet: &str,
        epoch: u64,
    ) -> Result<Option<u64>, SupervisorError> {
        let words = [file_name(fleet)?, shell_epoch(epoch)?.to_string()];
        let script = format!("zdu_fence {}", quote_all(words));
        let reply = self.request(channel, &script, None, Duration::ZERO).await?;
        let (line, _) = first_line(&reply)?;
        match line.as_str() {
            "taken" => Ok(None),
            _ => match read_state(&line) {
                Some(StepState::RefusedEpoch { seen }) => Ok(Some(seen)),
                _ => Err(unreadable(&reply)),
            },
        }
    }

    /// The newest epoch of a fleet the node has seen; none when it has seen none. Changes nothing.
    ///
    /// # Errors
    /// See [`SupervisorError`].
    pub async fn newest(
        &self,
        channel: &mut Channel,
        fleet: &str,
    ) -> Result<Option<u64>, SupervisorError> {
        let script = format!("zdu_newest {}", quote(&file_name(fleet)?));
        // The first thing a rollout asks of each node: with the functions, where they are missing.
        let reply = match self.load_and(channel, &script).await? {
            Some(reply) => reply,
            None => self.request(channel, &script, None, Duration::ZERO).await?,
        };
        let (line, _) = first_line(&reply)?;
        let seen = line.strip_prefix("seen ").and_then(|seen| seen.parse().ok());
        seen.map(|seen| Some(seen).filter(|seen| *seen > 0)).ok_or_else(|| unreadable(&reply))
    }
}
