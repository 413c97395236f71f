//! Reading `ScriptingConfig.xml`.
//!
//! ```text
//! ScriptConfiguration  xmlns="http(s)://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd"
//!   DatasourceScriptConfig  DataSourceName="…"       any number
//!     PreBackupScript, PreBackupCommandLine, PostBackupScript, PostBackupCommandLine, TimeOut
//! ```
//!
//! A misspelt element would be a script that silently never runs, so what is not known is refused. Entities are the
//! five of XML itself; there is no document type.

use std::time::Duration;

use quick_xml::{
    XmlVersion,
    escape::resolve_predefined_entity,
    events::{BytesRef, BytesStart, Event},
    name::{Namespace, ResolveResult},
    reader::NsReader,
};

use super::{Call, SourceScripts};

const NAMESPACES: [&[u8]; 2] = [
    b"http://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd",
    b"https://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd",
];
const ROOT: &str = "ScriptConfiguration";
const SOURCE: &str = "DatasourceScriptConfig";
const NAME: &str = "DataSourceName";
const FIELDS: [&str; 5] =
    ["PreBackupScript", "PreBackupCommandLine", "PostBackupScript", "PostBackupCommandLine", "TimeOut"];

/// Reads the file's bytes.
///
/// # Errors
/// What is wrong, and on which line.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<SourceScripts>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = NsReader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut document = Document::default();
    loop {
        let read = read(&mut reader, &mut document);
        match read {
            Ok(true) => {}
            Ok(false) if document.seen_root => return Ok(document.sources),
            Ok(false) => return Err(format!("it has no element {ROOT}")),
            Err(reason) => {
                let before = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX).min(text.len());
                let line = text.as_bytes()[..before].iter().filter(|&&byte| byte == b'\n').count() + 1;
                return Err(format!("line {line}: {reason}"));
            }
        }
    }
}

/// Takes the next event. `false`: that was the end.
fn read(reader: &mut NsReader<&[u8]>, document: &mut Document) -> Result<bool, String> {
    let (namespace, event) = reader.read_resolved_event().map_err(|error| error.to_string())?;
    match event {
        Event::Start(start) => {
            let ours = matches!(namespace, ResolveResult::Bound(Namespace(name)) if NAMESPACES.contains(&name));
            document.open(&start, ours)?;
        }
        Event::End(_) => document.close()?,
        Event::Text(text) => document.text(&text.decode().map_err(|error| error.to_string())?)?,
        Event::CData(text) => document.text(&text.decode().map_err(|error| error.to_string())?)?,
        Event::GeneralRef(reference) => document.text(&resolve(&reference)?)?,
        Event::DocType(_) => return Err("it has a document type, which is not allowed".to_owned()),
        Event::Decl(declaration) => {
            let encoding = declaration.encoding().transpose().map_err(|error| error.to_string())?;
            let is_utf8 =
                |name: &[u8]| [&b"utf-8"[..], b"utf8", b"us-ascii"].iter().any(|n| name.eq_ignore_ascii_case(n));
            if let Some(name) = encoding.filter(|name| !is_utf8(name)) {
                return Err(format!("it says that it is {}, and must be UTF-8", String::from_utf8_lossy(&name)));
            }
        }
        Event::Empty(_) | Event::Comment(_) | Event::PI(_) => {}
        Event::Eof => return document.end().map(|()| false),
    }
    Ok(true)
}

/// What `&name;` stands for.
fn resolve(reference: &BytesRef<'_>) -> Result<String, String> {
    if let Some(character) = reference.resolve_char_ref().map_err(|error| error.to_string())? {
        return Ok(character.to_string());
    }
    let name = reference.decode().map_err(|error| error.to_string())?;
    let known = resolve_predefined_entity(&name).map(str::to_owned);
    known.ok_or_else(|| format!("&{name}; is none of the entities of XML itself"))
}

/// Where in the document the reader is.
#[derive(Default)]
enum Place {
    #[default]
    Outside,
    Root,
    Source(Box<Fields>),
    Field(Box<Fields>, usize),
}

/// A `DatasourceScriptConfig` as far as it has been read.
#[derive(Default)]
struct Fields {
    name: String,
    texts: [Option<String>; FIELDS.len()],
}

#[derive(Default)]
struct Document {
    place: Place,
    seen_root: bool,
    sources: Vec<SourceScripts>,
}

impl Document {
    fn open(&mut self, start: &BytesStart<'_>, ours: bool) -> Result<(), String> {
        let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
        let expected = match &self.place {
            Place::Outside => ROOT,
            Place::Root => SOURCE,
            Place::Source(_) => {
                "one of PreBackupScript, PreBackupCommandLine, PostBackupScript, \
                                 PostBackupCommandLine and TimeOut"
            }
            Place::Field(_, field) => return Err(format!("{} holds the element {name}", FIELDS[*field])),
        };
        if !ours {
            return Err(format!(
                "the element {name} is not in the namespace https://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd"
            ));
        }
        let wrong = || Err(format!("the element {name} stands where {expected} was expected"));
        self.place = match std::mem::take(&mut self.place) {
            Place::Outside if name == ROOT && !self.seen_root => {
                self.seen_root = true;
                Place::Root
            }
            Place::Root if name == SOURCE => {
                let name = source_name(start)?;
                if self.sources.iter().any(|source| source.name == name) {
                    return Err(format!("{NAME} `{name}` is there twice"));
                }
                Place::Source(Box::new(Fields { name, ..Fields::default() }))
            }
            Place::Source(mut fields) => {
                let Some(field) = FIELDS.iter().position(|field| *field == name) else { return wrong() };
                if fields.texts[field].replace(String::new()).is_some() {
                    return Err(format!("{name} is there twice"));
                }
                Place::Field(fields, field)
            }
            _ => return wrong(),
        };
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        self.place = match std::mem::take(&mut self.place) {
            Place::Outside | Place::Root => Place::Outside,
            Place::Source(fields) => {
                self.sources.push(fields.scripts()?);
                Place::Root
            }
            Place::Field(fields, _) => Place::Source(fields),
        };
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), String> {
        match &mut self.place {
            Place::Field(fields, field) => {
                if let Some(whole) = &mut fields.texts[*field] {
                    whole.push_str(text);
                }
                Ok(())
            }
            _ if text.trim().is_empty() => Ok(()),
            _ => Err(format!("`{}` stands outside of any element that holds text", text.trim())),
        }
    }

    fn end(&self) -> Result<(), String> {
        match self.place {
            Place::Outside => Ok(()),
            _ => Err("it ends before its last element does".to_owned()),
        }
    }
}

/// `DataSourceName`, without slashes at its end.
fn source_name(start: &BytesStart<'_>) -> Result<String, String> {
    let mut found = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        if attribute.key.as_ref() == NAME.as_bytes() {
            let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|error| error.to_string())?;
            found = Some(value.trim().to_owned());
        }
    }
    let name = found.filter(|name| !name.is_empty()).ok_or_else(|| format!("a {SOURCE} has no {NAME}"))?;
    let trimmed = name.trim_end_matches('/');
    Ok(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() })
}

impl Fields {
    fn scripts(self) -> Result<SourceScripts, String> {
        let [before, before_arguments, after, after_arguments, time_out] = self.texts;
        let (before, after) = (call(before, before_arguments, FIELDS[0])?, call(after, after_arguments, FIELDS[2])?);
        if before.is_none() && after.is_none() {
            return Err(format!("the {SOURCE} of `{}` names no script", self.name));
        }
        let minutes = |text: String| {
            let number = text.trim().parse::<u64>().ok().filter(|minutes| *minutes > 0);
            let seconds = number.and_then(|minutes| minutes.checked_mul(60));
            let wrong = || format!("TimeOut `{}` is no number of minutes above zero", text.trim());
            seconds.map(Duration::from_secs).ok_or_else(wrong)
        };
        Ok(SourceScripts { name: self.name, before, after, time_out: time_out.map(minutes).transpose()? })
    }
}

fn call(script: Option<String>, arguments: Option<String>, element: &str) -> Result<Option<Call>, String> {
    let script = script.map(|script| script.trim().to_owned());
    match (script, arguments) {
        (Some(script), _) if script.is_empty() || script == "\"\"" => Err(format!("{element} names no file")),
        (Some(script), arguments) => Ok(Some(Call { script, arguments: arguments.unwrap_or_default() })),
        (None, Some(_)) => Err(format!("there are arguments for a script and no {element}")),
        (None, None) => Ok(None),
    }
}

/// Target of the fuzzer: no bytes may make the reader panic.
pub fn fuzz_scripting(bytes: &[u8]) {
    if let Ok(sources) = parse(bytes) {
        for source in &sources {
            for call in source.before.iter().chain(&source.after) {
                let _ = super::words(&call.arguments);
            }
        }
    }
}
