//! A registry that misbehaves on demand.
//!
//! The *double* keeps blobs, manifests and uploads in memory and answers as the specification
//! says, unless a *prank* answers first. It remembers each request.

use crate::digest::Digest;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Whether the method is this one and the target has this part.
    pub(super) fn is(&self, method: &str, part: &str) -> bool {
        self.method == method && self.target.contains(part)
    }

    fn query(&self, name: &str) -> Option<String> {
        let (_, query) = self.target.split_once('?')?;
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| *key == name);
        Some(values.next()?.1.replace("%3A", ":").replace("%2F", "/"))
    }
}

/// An answer, which may lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Said in place of the body's length.
    pub(super) length: Option<u64>,
    /// Nothing more comes after so many bytes of the body, for this long; then the end.
    pub(super) stall: Option<(usize, Duration)>,
    /// The pause after each byte.
    pub(super) drip: Option<Duration>,
}

impl Answer {
    pub(super) fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            body: body.into(),
            ..Self::default()
        }
    }

    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Ends the connection after so many bytes of the body.
    pub(super) fn cut(mut self, after: usize) -> Self {
        self.stall = Some((after, Duration::ZERO));
        self
    }

    /// An error in the registry's form.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self::new(status, body.to_string()).with("Content-Type", "application/json")
    }
}

/// What the double holds.
#[derive(Default)]
pub(super) struct Content {
    pub(super) blobs: BTreeMap<String, Vec<u8>>,
    /// Content type and text, by tag or digest.
    pub(super) manifests: BTreeMap<String, (String, Vec<u8>)>,
    uploads: BTreeMap<String, Vec<u8>>,
    /// What came so far, by how often a prank was played.
    pub(super) counts: BTreeMap<&'static str, usize>,
}

impl Content {
    /// How often this was called before with this name.
    pub(super) fn count(&mut self, name: &'static str) -> usize {
        let count = self.counts.entry(name).or_default();
        *count += 1;
        *count - 1
    }

    pub(super) fn add_blob(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        self.blobs.insert(digest.to_string(), bytes.to_vec());
        digest
    }

    /// The honest answer.
    pub(super) fn answer(&mut self, asked: &Asked) -> Answer {
        let path = asked.target.split('?').next().unwrap_or_default();
        let (_, name) = path.rsplit_once('/').unwrap_or_default();
        if path == "/v2/" {
            return Answer::new(200, "{}");
        }
        if path.contains("/blobs/uploads/") {
            return self.upload(asked, name);
        }
        if path.contains("/blobs/") {
            return match self.blobs.get(name) {
                Some(blob) => blob_answer(asked, blob),
                None => Answer::error(404, "BLOB_UNKNOWN", "no such blob"),
            };
        }
        if path.contains("/manifests/") {
            return self.manifest(asked, name);
        }
        Answer::error(404, "UNSUPPORTED", "no such thing")
    }

    fn manifest(&mut self, asked: &Asked, name: &str) -> Answer {
        if asked.method == "PUT" {
            let digest = Digest::of(&asked.body).to_string();
            let entry = (asked.header("content-type").to_owned(), asked.body.clone());
            self.manifests.insert(digest.clone(), entry.clone());
            self.manifests.insert(name.to_owned(), entry);
            return Answer::new(201, "").with("Docker-Content-Digest", digest);
        }
        match self.manifests.get(name) {
            Some((kind, text)) => Answer::new(200, text.clone())
                .with("Content-Type", kind)
                .with("Docker-Content-Digest", Digest::of(text).to_string()),
            None => Answer::error(404, "MANIFEST_UNKNOWN", "no such manifest"),
        }
    }

    fn upload(&mut self, asked: &Asked, name: &str) -> Answer {
        let at = |name: &str| format!("/v2/app/blobs/uploads/{name}?state=1");
        let range = |length: usize| format!("0-{}", length.saturating_sub(1));
        if asked.method == "POST" {
            let name = format!("u{}", self.count("uploads"));
            self.uploads.insert(name.clone(), Vec::new());
            return Answer::new(202, "").with("Location", at(&name));
        }
        let Some(upload) = self.uploads.get_mut(name) else {
            return Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload");
        };
        match asked.method.as_str() {
            "GET" => Answer::new(204, "")
                .with("Location", at(name))
                .with("Range", range(upload.len())),
            "PATCH" => {
                let start = asked.header("content-range").split('-').next();
                if start != Some(&upload.len().to_string()) {
                    return Answer::error(416, "BLOB_UPLOAD_INVALID", "wrong range");
                }
                upload.extend_from_slice(&asked.body);
                Answer::new(202, "")
                    .with("Location", at(name))
                    .with("Range", range(upload.len()))
            }
            "PUT" => {
                upload.extend_from_slice(&asked.body);
                let digest = Digest::of(&*upload).to_string();
                if asked.query("digest").as_deref() != Some(&digest) {
                    return Answer::error(400, "DIGEST_INVALID", "wrong digest");
                }
                let blob = self.uploads.remove(name).unwrap_or_default();
                self.blobs.insert(digest.clone(), blob);
                Answer::new(201, "").with("Docker-Content-Digest", digest)
            }
            _ => {
                self.uploads.remove(name);
                Answer::new(204, "")
            }
        }
    }
}

fn blob_answer(asked: &Asked, blob: &[u8]) -> Answer {
    let range = asked.header("range").strip_prefix("bytes=");
    let Some(range) = range else {
        return Answer::new(200, blob);
    };
    let start = range.split('-').next().unwrap_or_default();
    match start.parse::<usize>().ok().filter(|it| *it < blob.len()) {
        Some(start) => Answer::new(206, &blob[start..]).with(
            "Content-Range",
            format!("bytes {start}-{}/{}", blob.len() - 1, blob.len()),
        ),
        None => Answer::new(416, ""),
    }
}

/// Answers in place of the honest one.
type Prank = dyn Fn(&Asked, &mut Content) -> Option<Answer> + Send + Sync;

/// The server.
pub(super) struct Double {
    /// `127.0.0.1:…`
    pub(super) host: String,
    content: Arc<Mutex<Content>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Double {
    pub(super) fn start(
        prank: impl Fn(&Asked, &mut Content) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let content = Arc::<Mutex<Content>>::default();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let prank: Arc<Prank> = Arc::new(prank);
        let (theirs, log) = (content.clone(), asked.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (content, log, prank) = (theirs.clone(), log.clone(), prank.clone());
                thread::spawn(move || serve(stream, &content, &log, &*prank));
            }
        });
        Self {
            host,
            content,
            asked,
        }
    }

    pub(super) fn content(&self) -> std::sync::MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// The requests so far.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How many requests there were of this method with this part in their target.
    pub(super) fn count(&self, method: &str, part: &str) -> usize {
        self.asked().iter().filter(|it| it.is(method, part)).count()
    }
}

/// Answers one request after the other, until the connection ends.
fn serve(stream: TcpStream, content: &Mutex<Content>, log: &Mutex<Vec<Asked>>, prank: &Prank) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(asked) = read(&mut reader) {
        log.lock().unwrap().push(asked.clone());
        let answer = {
            let mut content = content.lock().unwrap();
            match prank(&asked, &mut content) {
                Some(answer) => answer,
                None => content.answer(&asked),
            }
        };
        if !write(&mut writer, &asked, &answer) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split(' ');
    let mut asked = Asked {
        method: words.next()?.to_owned(),
        target: words.next()?.to_owned(),
        ..Asked::default()
    };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        asked
            .headers
            .insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = asked.header("content-length").parse().unwrap_or(0);
    asked.body = vec![0; length];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// Writes an answer; false if the connection ends with it.
fn write(writer: &mut TcpStream, asked: &Asked, answer: &Answer) -> bool {
    let length = answer.length.unwrap_or(answer.body.len() as u64);
    let mut head = format!(
        "HTTP/1.1 {} Said\r\nContent-Length: {length}\r\n",
        answer.status
    );
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    if writer.write_all(head.as_bytes()).is_err() {
        return false;
    }
    if asked.method == "HEAD" {
        return true;
    }
    if let Some(pause) = answer.drip {
        return answer.body.iter().all(|byte| {
            thread::sleep(pause);
            writer.write_all(&[*byte]).is_ok()
        });
    }
    let (end, pause) = match answer.stall {
        Some((end, pause)) => (end.min(answer.body.len()), Some(pause)),
        None => (answer.body.len(), None),
    };
    let whole = writer.write_all(&answer.body[..end]).is_ok();
    if let Some(pause) = pause {
        let _ = writer.flush();
        thread::sleep(pause);
        return false;
    }
    whole && length == answer.body.len() as u64
}
