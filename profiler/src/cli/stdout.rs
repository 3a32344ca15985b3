//! Data on stdout, which a pager or `head` may close before its end.

use std::io::{self, BufWriter, ErrorKind, Write};

use anyhow::Context as _;

/// Lets `fill` write to stdout; that nobody reads on is no error.
///
/// # Errors
/// When stdout cannot be written.
pub fn write(fill: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    match fill(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {
            // What is still in the buffer is not tried again when it is dropped.
            let _ = out.into_parts();
            Ok(())
        }
        result => result.context("cannot write to stdout"),
    }
}

/// Writes `data` as JSON for programs.
///
/// # Errors
/// When stdout cannot be written.
pub fn write_json(data: &(impl serde::Serialize + ?Sized)) -> anyhow::Result<()> {
    write(|out| {
        serde_json::to_writer_pretty(&mut *out, data)?;
        writeln!(out)
    })
}
