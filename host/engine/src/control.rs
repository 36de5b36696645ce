//! What operators ask: checked and compiled on the caller's thread, carried out at an epoch boundary.

use crate::protocol::{Command, Push, Reply};
use crate::shard::Redrive;
use crate::{Options, Ports};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use weir_types::control::{Control, ControlError, Redriven, Resnapshot};
use weir_types::live::CatalogueEntry;
use weir_types::ports::{Broker, Loader, StateStore};
use weir_types::record::OwnedRecord;
use weir_types::rows::DeadLetterRow;
use weir_types::schema::SourceDecl;

/// Longest wait for an answer: an epoch, and a slow write.
const ANSWER: Duration = Duration::from_secs(60);

/// The handle of [`crate::Engine::control`].
pub struct EngineControl {
    commands: SyncSender<Command>,
    loader: Arc<dyn Loader>,
    state: Arc<dyn StateStore>,
    broker: Arc<dyn Broker>,
    sources: Vec<Arc<SourceDecl>>,
}

impl EngineControl {
    pub fn new(commands: SyncSender<Command>, ports: &Ports, options: &Options) -> EngineControl {
        EngineControl {
            commands,
            loader: ports.loader.clone(),
            state: ports.state.clone(),
            broker: ports.broker.clone(),
            sources: options.sources.clone(),
        }
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ControlError> {
        let (reply, answer) = sync_channel(1);
        let gone = || ControlError::Unavailable("the engine is stopping".into());
        self.commands.send(command(reply)).map_err(|_| gone())?;
        answer.recv_timeout(ANSWER).unwrap_or_else(|error| {
            Err(match error {
                RecvTimeoutError::Disconnected => gone(),
                RecvTimeoutError::Timeout => ControlError::Unavailable(format!(
                    "the engine has not answered within {} s: /readyz says what it waits for. It may still do what was \
                     asked: look before asking again",
                    ANSWER.as_secs()
                )),
            })
        })
    }
}

impl EngineControl {
    /// The record of each dead letter; where there is none, the answer to give.
    fn with_records(
        &self,
        letters: Vec<DeadLetterRow>,
    ) -> Result<Vec<Result<Redrive, Redriven>>, ControlError> {
        let places: Vec<_> = letters.iter().map(|l| (l.partition.clone(), l.offset)).collect();
        let found = self.broker.fetch(&places).map_err(ControlError::Unavailable)?;
        Ok(letters.into_iter().zip(found).map(|(letter, found)| with_record(letter, found)).collect())
    }
}

/// A dead letter with its record: as the broker has it, if it is still that one, else from the bytes that
/// were kept.
fn with_record(letter: DeadLetterRow, found: Option<OwnedRecord>) -> Result<Redrive, Redriven> {
    if !letter.metric.is_empty() {
        let why =
            format!("it is a dead letter of metric {} alone: the record itself was applied", letter.metric);
        return Err(Redriven::Refused(why));
    }
    let begins = |bytes: &Option<Vec<u8>>, kept: &[u8]| {
        let bytes = bytes.as_deref().unwrap_or_default();
        if letter.whole { bytes == kept } else { bytes.starts_with(kept) }
    };
    let same =
        |record: &OwnedRecord| begins(&record.key, &letter.key) && begins(&record.value, &letter.value);
    if let Some(record) = found.filter(same) {
        return Ok(Redrive { record, letter });
    }
    if !letter.whole {
        let why = "the broker no longer holds it, and only its first bytes were kept";
        return Err(Redriven::Refused(why.into()));
    }
    let record = OwnedRecord {
        timestamp: None,
        key: Some(letter.key.clone()).filter(|key| !key.is_empty()),
        value: Some(letter.value.clone()),
        rekey: letter.rekey,
    };
    Ok(Redrive { record, letter })
}

impl Control for EngineControl {
    fn push(&self, origin: &str, component: Vec<u8>) -> Result<Vec<CatalogueEntry>, ControlError> {
        let factories = self.loader.load(origin, &component, &self.sources).map_err(ControlError::Refused)?;
        let push = Push::check(origin, component, factories, &self.list()?)?;
        push.store(&*self.state)?;
        if push.must_settle() {
            self.ask(|reply| Command::Settle { reply })?;
        }
        self.ask(|reply| push.join(reply))
    }

    fn list(&self) -> Result<Vec<CatalogueEntry>, ControlError> {
        self.ask(|reply| Command::List { reply })
    }

    fn retire(&self, metric: &str) -> Result<(), ControlError> {
        self.ask(|reply| Command::Retire { name: metric.to_string(), reply })
    }

    fn resnapshot(&self, source: &str, step: Resnapshot) -> Result<(), ControlError> {
        self.ask(|reply| Command::Resnapshot { source: source.to_string(), step, reply })
    }

    fn resume(&self, source: &str, accept_dead: bool) -> Result<(), ControlError> {
        self.ask(|reply| Command::Resume { source: source.to_string(), accept_dead, reply })
    }

    fn redrive(&self, letters: Vec<DeadLetterRow>) -> Result<Vec<Redriven>, ControlError> {
        let prepared = self.with_records(letters)?;
        let records: Vec<Redrive> = prepared.iter().filter_map(|p| p.as_ref().ok().cloned()).collect();
        let mut answers = self.ask(|reply| Command::Redrive { records, reply })?.into_iter();
        let unanswered = || Redriven::Refused("the engine gave no answer".into());
        Ok(prepared
            .into_iter()
            .map(|p| p.err().or_else(|| answers.next()).unwrap_or_else(unanswered))
            .collect())
    }

    fn restart(&self, source: &str) -> Result<(), ControlError> {
        self.ask(|reply| Command::Restart { source: source.to_string(), reply })
    }
}
