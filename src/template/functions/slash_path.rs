//! Paths as text, by Go's rules: cleaned without a look at the file system.

/// The shortest path that means the same: no empty or `.` parts, no `..` after a name.
pub(super) fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") | None if !is_absolute => parts.push(".."),
                None => {}
                Some(_) => {
                    parts.pop();
                }
            },
            name => parts.push(name),
        }
    }
    match (is_absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

/// `path` below an absolute `folder`, or `path` itself if it is absolute; cleaned.
pub(super) fn below(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        clean(path)
    } else {
        clean(&format!("{folder}/{path}"))
    }
}

/// The way from a folder to a path, both absolute or both relative to the same folder.
pub(super) fn relative(folder: &str, path: &str) -> String {
    let (folder, path) = (clean(folder), clean(path));
    let parts = |path: &str| -> Vec<String> {
        let named = path.split('/').filter(|part| !matches!(*part, "" | "."));
        named.map(str::to_owned).collect()
    };
    let (folder, path) = (parts(&folder), parts(&path));
    let shared = folder.iter().zip(&path).take_while(|(a, b)| a == b).count();
    let up = folder.iter().skip(shared).map(|_| "..");
    let down = path.iter().skip(shared).map(String::as_str);
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The last part.
pub(super) fn base(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    match (path, trimmed) {
        ("", _) => ".",
        (_, "") => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    }
}

/// All but the last part, cleaned.
pub(super) fn folder(path: &str) -> String {
    let end = path.rfind('/').map_or(0, |slash| slash + 1);
    clean(path.get(..end).unwrap_or_default())
}
