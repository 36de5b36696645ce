//! What operators ask: checked and compiled on the caller's thread, carried out at an epoch boundary.

use crate::protocol::{Command, Reply};
use crate::{Options, Ports, recover};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;
use weir_types::contract::MetricFactory;
use weir_types::control::{Control, ControlError, Resnapshot};
use weir_types::live::CatalogueEntry;
use weir_types::ports::{Loader, StateStore};
use weir_types::schema::SourceDecl;

/// Longest wait for an answer: an epoch, and a slow write.
const ANSWER: Duration = Duration::from_secs(60);

/// The handle of [`crate::Engine::control`].
pub struct EngineControl {
    commands: SyncSender<Command>,
    loader: Arc<dyn Loader>,
    state: Arc<dyn StateStore>,
    sources: Vec<Arc<SourceDecl>>,
}

impl EngineControl {
    pub fn new(commands: SyncSender<Command>, ports: &Ports, options: &Options) -> EngineControl {
        EngineControl {
            commands,
            loader: ports.loader.clone(),
            state: ports.state.clone(),
            sources: options.sources.clone(),
        }
    }

    fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ControlError> {
        let (reply, answer) = sync_channel(1);
        let gone = |_| ControlError::Unavailable("the engine is stopping".into());
        self.commands.send(command(reply)).map_err(|e| gone(e.to_string()))?;
        answer.recv_timeout(ANSWER).map_err(|e| gone(e.to_string()))?
    }
}

impl Control for EngineControl {
    fn push(&self, origin: &str, component: Vec<u8>) -> Result<Vec<CatalogueEntry>, ControlError> {
        let factories = self.loader.load(origin, &component, &self.sources).map_err(ControlError::Refused)?;
        let loaded = self.list()?;
        let known = |f: &&Arc<dyn MetricFactory>| loaded.iter().find(|e| e.info.name == f.info().name);
        let (mut stopped, running): (Vec<_>, Vec<_>) =
            factories.iter().filter_map(|f| known(&f)).partition(|e| e.is_stopped());
        if let Some(entry) = running.first() {
            return Err(ControlError::Conflict(format!(
                "{origin}: metric {} is loaded already (digest {}): retire it first",
                entry.info.name, entry.digest
            )));
        }
        let digest = blake3::hash(&component).to_hex().to_string();
        recover::put_component(&*self.state, &digest, &component)
            .map_err(|e| ControlError::Unavailable(e.to_string()))?;
        if stopped.pop().is_some() {
            // What is stored of a metric that stopped is about to be read.
            self.ask(|reply| Command::Settle { reply })?;
        }
        self.ask(|reply| Command::Join { origin: origin.to_string(), factories, reply })
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
}
