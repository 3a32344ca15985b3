//! RPM's SQLite database: a table `Packages` of headers by number, and one
//! table an index whose column `hnum` is that number.

use std::fs;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// A database of an image, copied out: SQLite reads files only, and those of
/// an image may lie in a layer.
pub struct Database {
    directory: TempDir,
    connection: Connection,
}

/// Why a database cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// No place for the copy.
    #[error("cannot copy it to a temporary directory: {0}")]
    Io(#[from] std::io::Error),
    /// SQLite says no.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl Database {
    /// Opens a copy of a database with what its write-ahead log has.
    ///
    /// # Errors
    /// See [`DatabaseError`].
    pub fn open(bytes: &[u8], log: Option<&[u8]>) -> Result<Self, DatabaseError> {
        let directory = tempfile::tempdir()?;
        let path = file(&directory);
        fs::write(&path, bytes)?;
        if let Some(log) = log {
            fs::write(path.with_extension("sqlite-wal"), log)?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        // What an image brings is data: no function of a schema is called.
        connection.pragma_update(None, "trusted_schema", false)?;
        Ok(Self { directory, connection })
    }

    /// Headers by number, in order.
    ///
    /// # Errors
    /// When it is damaged or no RPM database.
    pub fn headers(&self) -> Result<Vec<(i64, Vec<u8>)>, DatabaseError> {
        let mut query = self.connection.prepare("SELECT hnum, blob FROM Packages ORDER BY hnum")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Takes packages out, with what the indexes say of them, and returns the
    /// database that is left. The same input gives the same bytes.
    ///
    /// # Errors
    /// When it is damaged, or something cannot be written.
    pub fn without(mut self, gone: &[i64]) -> Result<Vec<u8>, DatabaseError> {
        let tables: Vec<String> = {
            let mut query = self.connection.prepare(
                "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND c.name = 'hnum' ORDER BY m.name",
            )?;
            query.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        // The order of deletion is of no matter: all that refers to a header
        // goes with it.
        self.connection.pragma_update(None, "foreign_keys", false)?;
        let change = self.connection.transaction()?;
        for table in tables {
            let quoted = table.replace('"', "\"\"");
            let mut delete =
                change.prepare(&format!("DELETE FROM \"{quoted}\" WHERE hnum = ?1"))?;
            for number in gone {
                delete.execute([number])?;
            }
        }
        change.commit()?;
        self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
        let path = file(&self.directory);
        self.connection.close().map_err(|(_, error)| error)?;
        Ok(fs::read(path)?)
    }
}

fn file(directory: &TempDir) -> PathBuf {
    directory.path().join("rpmdb.sqlite")
}
