//! A process's configuration files, brought over from the host it runs on in one request. Pure:
//! what is asked, and what was answered.

use crate::exec::quote;
use std::fmt::Write as _;

/// Most bytes of all files together. Half of what one reply carries: such a configuration is
/// generated, and the rules here are for those that people write.
const BYTES_MAX: usize = 4 * 1024 * 1024;

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// Path as the process names it.
    pub path: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When it was last changed by its host's clock, seconds since 1970; none where the host does
    /// not say.
    pub changed_unix_s: Option<u64>,
}

/// What shows these files, only reading. `stat -c` is Linux's; elsewhere the time stays unknown.
///
/// # Errors
/// A sentence: a path that only the process itself could follow.
pub(crate) fn script(paths: &[String]) -> Result<String, String> {
    let mut script = format!(
        "left={BYTES_MAX}\n\
         show() {{\n\
         if [ ! -e \"$1\" ]; then echo missing; return; fi\n\
         if [ ! -f \"$1\" ] || [ ! -r \"$1\" ]; then echo denied; return; fi\n\
         size=$(($(wc -c <\"$1\")))\n\
         left=$((left - size))\n\
         if [ \"$left\" -lt 0 ]; then echo large; return; fi\n\
         echo \"file $size $(stat -c %Y \"$1\" 2>/dev/null)\"\n\
         if [ \"$size\" -gt 0 ]; then head -c \"$size\" \"$1\"; fi\n\
         }}\n"
    );
    for path in paths {
        if !path.starts_with('/') {
            return Err(format!(
                "the process names its configuration {path:?}, which is no whole path"
            ));
        }
        // Nothing is left to do where a string cannot take more.
        let _written = writeln!(script, "show {}", quote(path));
    }
    Ok(script)
}

/// Reads what [`script`] printed for the same paths.
///
/// # Errors
/// A sentence that names the first file that is not there as a whole, and none of its text.
pub(crate) fn read(paths: &[String], stdout: &[u8]) -> Result<Vec<FileText>, String> {
    let mut rest = stdout;
    let mut files = Vec::new();
    for path in paths {
        let broken = || format!("{path} was not shown as a whole");
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let (head, behind) = rest.split_at(end);
        let head = String::from_utf8_lossy(head);
        let mut words = head.split(' ');
        let size = match words.next() {
            Some("file") => words.next().and_then(|size| size.parse::<usize>().ok()),
            Some("missing") => return Err(format!("{path} is not there")),
            Some("denied") => return Err(format!("{path} may not be read by this user")),
            Some("large") => {
                return Err(format!("its configuration is larger than {BYTES_MAX} bytes"));
            }
            Some(_) | None => None,
        };
        let changed_unix_s = words.next().and_then(|time| time.parse().ok());
        let behind = behind.get(1..).unwrap_or_default();
        let (bytes, next) = behind.split_at_checked(size.ok_or_else(broken)?).ok_or_else(broken)?;
        files.push(FileText { path: path.clone(), bytes: bytes.to_vec(), changed_unix_s });
        rest = next;
    }
    if rest.is_empty() { Ok(files) } else { Err("more was shown than was asked for".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn shown(paths: &[String]) -> Result<Vec<FileText>, String> {
        let script = script(paths)?;
        let ran = Command::new("/bin/sh").args(["-c", &script]).output();
        let ran = ran.map_err(|error| error.to_string())?;
        read(paths, &ran.stdout)
    }

    #[test]
    fn files_of_any_bytes_come_over_with_their_times_and_a_missing_one_is_named() {
        let place = std::env::temp_dir().join(format!("zdu-files-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let at = |name: &str| place.join(name).display().to_string();
        let texts: [(&str, &[u8]); 3] =
            [("a 'b' $c.cfg", b"x\n\0\xff"), ("empty", b""), ("no end", b"file 9 9\nmissing")];
        for (name, text) in texts {
            std::fs::write(at(name), text).unwrap();
        }
        let paths = texts.map(|(name, _)| at(name));
        let seen = shown(&paths).unwrap();
        let bytes: Vec<&[u8]> = seen.iter().map(|file| file.bytes.as_slice()).collect();
        assert_eq!(bytes, texts.map(|(_, text)| text));
        assert!(
            seen.iter().all(|file| file.changed_unix_s.is_some_and(|time| time > 1_700_000_000))
        );
        let missing = shown(&[at("empty"), at("none")]).unwrap_err();
        assert_eq!(missing, format!("{} is not there", at("none")));
        let denied = shown(&[place.display().to_string()]).unwrap_err();
        assert!(denied.ends_with("may not be read by this user"), "{denied}");
        std::fs::remove_dir_all(&place).unwrap();
    }

    #[test]
    fn half_an_answer_and_a_path_of_the_process_alone_are_refused() {
        let paths = ["/a".to_owned(), "/b".to_owned()];
        let whole = b"file 3 17\nabcfile 2 \n\nz";
        let seen = read(&paths, whole).unwrap();
        assert_eq!((seen[0].changed_unix_s, seen[1].changed_unix_s), (Some(17), None));
        for cut in 0..whole.len() {
            assert!(read(&paths, &whole[..cut]).is_err(), "{cut}");
        }
        assert!(read(&paths[..1], whole).is_err());
        let large = read(&paths, b"large\nlarge\n").unwrap_err();
        assert_eq!(large, "its configuration is larger than 4194304 bytes");
        let relative = script(&["a.cfg".to_owned()]).unwrap_err();
        assert_eq!(
            relative,
            "the process names its configuration \"a.cfg\", which is no whole path"
        );
    }
}
