//! `log`: what a part of the router logs, and where to.

use std::path::PathBuf;

use crate::log::Levels;
use crate::schema::attribute::{choice, flag, text};
use crate::schema::entity_type::{EntityType, configuration};
use crate::schema::{AttributeError, Entity, LogModule, Operation, Use};

/// The rows of the table.
pub(in crate::schema) static ROW: EntityType = EntityType {
    own_operations: &[Operation::Update],
    own_attributes: &[
        choice(
            "module",
            LogModule::WORDS,
            "Which part of the router this is about; DEFAULT is all that have no log entity of \
             theirs.",
        )
        .example("DEFAULT")
        .required()
        .works(),
        text(
            "enable",
            "The levels that are written: none, debug, info, warning, error, critical, separated \
             by commas; a level with a plus stands for itself and all graver ones.",
        )
        .unset("what DEFAULT has, which begins as info+")
        .example("info+")
        .update()
        .works(),
        flag("includeTimestamp", "Begin each line with the time.")
            .unset("what DEFAULT has, which begins as yes")
            .example("yes")
            .update()
            .works(),
        flag("includeSource", "End each line with the place in the source that wrote it.")
            .unset("what DEFAULT has, which begins as no")
            .example("no")
            .update()
            .works(),
        text(
            "outputFile",
            "Where lines go: stderr, stdout, syslog, journald, or a file that is appended to.",
        )
        .unset("what DEFAULT has, which begins as stderr")
        .example("stderr")
        .names_file(Use::Log)
        .update()
        .works(),
    ],
    ..configuration("What a part of the router logs, and where to.")
};

/// The place of log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogOutput {
    Stderr,
    Stdout,
    Syslog,
    /// The journal of systemd.
    Journal,
    /// A file, to which lines are appended.
    File(PathBuf),
}

/// The log settings of one module. `None` is as `DEFAULT` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct LogConfig {
    pub module: LogModule,
    pub enable: Option<Levels>,
    pub include_timestamp: Option<bool>,
    pub include_source: Option<bool>,
    pub output: Option<LogOutput>,
}

impl TryFrom<&Entity> for LogConfig {
    type Error = AttributeError;

    fn try_from(entity: &Entity) -> Result<Self, AttributeError> {
        Ok(Self {
            module: entity.get("module")?,
            enable: entity.find("enable")?,
            include_timestamp: entity.find("includeTimestamp")?,
            include_source: entity.find("includeSource")?,
            output: entity.text("outputFile").map(|output| match output {
                "stderr" => LogOutput::Stderr,
                "stdout" => LogOutput::Stdout,
                "syslog" => LogOutput::Syslog,
                "journald" => LogOutput::Journal,
                file => LogOutput::File(file.into()),
            }),
        })
    }
}
