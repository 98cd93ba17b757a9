//! The wish to stop: SIGTERM or SIGINT, told to everyone who waits for it.

use std::{io, thread, time::Duration};

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::error::CliError;

/// What a process ends with that was told to stop twice.
const IMPATIENT: i32 = 130;

/// Waits for SIGTERM and SIGINT. A second signal ends the process at once.
pub(crate) struct StopSignal {
    tell: watch::Sender<bool>,
    told: watch::Receiver<bool>,
    runtime: Runtime,
}

impl StopSignal {
    /// From here on the signals no longer end the process by themselves.
    pub(crate) fn install() -> Result<Self, CliError> {
        let failed = |e: io::Error| CliError::io("waiting for signals", e);
        let (tell, told) = watch::channel(false);
        let waiter = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (mut term, mut interrupt) = {
            let _inside = waiter.enter();
            (signal(SignalKind::terminate()).map_err(failed)?, signal(SignalKind::interrupt()).map_err(failed)?)
        };
        let by_signal = tell.clone();
        let wait = move || {
            waiter.block_on(async {
                for times in 0.. {
                    tokio::select! {
                        _ = term.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    if times > 0 {
                        std::process::exit(IMPATIENT);
                    }
                    // Nobody waits any more: the process is about to end.
                    let _ = by_signal.send(true);
                }
            });
        };
        thread::Builder::new().name("chronolith-signal".to_owned()).spawn(wait).map_err(failed)?;
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        Ok(Self { tell, told, runtime })
    }

    /// Tells everyone to stop, as a signal does.
    pub(crate) fn tell(&self) {
        // Receivers live as long as this does.
        let _ = self.tell.send(true);
    }

    /// Ready when the process was told to stop.
    pub(crate) fn told(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.told.clone();
        async move {
            // The sender lives as long as the process.
            let _ = told.wait_for(|told| *told).await;
        }
    }

    /// Whether the process was told to stop within this time.
    pub(crate) fn wait(&self, at_most: Duration) -> bool {
        let told = self.told();
        self.runtime.block_on(async { tokio::time::timeout(at_most, told).await.is_ok() })
    }
}
