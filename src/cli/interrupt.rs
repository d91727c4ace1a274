//! Interruption of commands that build nothing: what they have begun is cleaned up.

use crate::build::StopSignals;
use crate::sandbox::Cancel;
use std::thread;

/// What a process ends with that was interrupted, as shells have it.
const INTERRUPTED: i32 = 130;

/// A [`Cancel`] that the first signal to stop sets off; the second ends the process.
///
/// Without handlers the default applies: the process ends at once, and the next build removes what
/// is left.
pub fn cancel_on_signals() -> Cancel {
    let cancel = Cancel::default();
    watch(&cancel);
    cancel
}

/// Sets `cancel` off at the first signal to stop; the second ends the process.
pub fn watch(cancel: &Cancel) {
    let ours = cancel.clone();
    // A thread that cannot be started is as good as no handler.
    let _ = thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_io()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(wait(&ours));
            }
        });
}

async fn wait(cancel: &Cancel) {
    let Ok(mut signals) = StopSignals::listen() else {
        return;
    };
    loop {
        signals.next().await;
        if cancel.is_cancelled() {
            std::process::exit(INTERRUPTED);
        }
        cancel.cancel();
    }
}
