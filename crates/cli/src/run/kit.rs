//! `recovery-kit …`.

use resurgam_rebuild::recovery_kit::{self, KitReport};

use super::Context;
use crate::{Ending, args::RecoveryKit, failure::Failure, passphrase};

pub(super) fn run(context: &Context<'_>, command: RecoveryKit) -> Result<Ending, Failure> {
    match command {
        RecoveryKit::Write { to } => {
            let passphrase = match context.passphrase_given()? {
                Some(given) => given,
                None => passphrase::ask_new("the recovery kit")?,
            };
            let mut server = context.server()?;
            let report = recovery_kit::write(&mut server.server, &passphrase, &to)?;
            context.output.answer(&report, || written(&report))?;
        }
        RecoveryKit::Test { file } => {
            let server = context.server()?;
            let passphrase = match context.passphrase_given()? {
                Some(given) => given,
                None => passphrase::ask("the recovery kit")?,
            };
            let report = recovery_kit::test(&server, file.as_deref(), &passphrase)?;
            context.output.answer(&report, || {
                format!("The passphrase opens {}, and the keys in it are this server's.\n", report.file)
            })?;
        }
        RecoveryKit::Show => {
            let server = context.server()?;
            let page = recovery_kit::page(&server)?;
            context.output.answer(&PageDocument { page: &page }, || page.clone())?;
        }
    }
    Ok(Ending::Whole)
}

/// The document of `recovery-kit show`.
#[derive(serde::Serialize)]
struct PageDocument<'a> {
    page: &'a str,
}

fn written(report: &KitReport) -> String {
    format!(
        "The kit:           {}\nThe page to print: {} (and as text: {})\nFingerprint:       {}\n\n\
         Keep both where the disaster that takes this server does not reach: another building, a safe, a disk in a drawer;\n\
         and not beside a volume of the pool. Keep the passphrase apart from them, with two people who will be there.\n\
         Now prove that the passphrase is the one you think it is: resurgam recovery-kit test\n",
        report.file, report.page, report.page_text, report.fingerprint
    )
}
