//! Where a PostgreSQL is and who comes, in every form that psql takes: a URI, or words such as `host=db dbname=x`.
//!
//! It guarantees that nothing is decoded twice, and that what only psql could do is refused by name.

use std::net::IpAddr;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use super::{Given, parse_query};

/// What stands in a URI as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Where servers of this machine have their sockets.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];

const SEVERAL: &str = "it names several servers, and this program goes to one: name the one that takes writes, or an \
                       address that moves with it";

/// What stands in front of the parameters.
#[derive(Default)]
pub(super) struct ServerAddress {
    host: Option<String>,
    /// Connected to in place of the host.
    hostaddr: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    name: Option<String>,
}

/// Takes an address apart; `None`: it has neither form.
///
/// # Errors
/// What is refused, and what to do.
pub(super) fn take_apart(text: &str) -> Option<Result<(ServerAddress, Vec<Given>), String>> {
    let text = text.trim();
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.contains('=').then(|| Ok((ServerAddress::default(), words(text)?)));
    };
    // Some tools write a driver behind the scheme (`postgresql+asyncpg://`).
    let base = scheme.split('+').next()?;
    matches!(base, "postgres" | "postgresql").then(|| uri(rest))
}

fn uri(rest: &str) -> Result<(ServerAddress, Vec<Given>), String> {
    if rest.contains('#') {
        return Err("it ends in `#…`: a # of the password is written %23".to_owned());
    }
    let (front, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, name) = front.split_once('/').unwrap_or((front, ""));
    let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').map_or((login, None), |(user, password)| (user, Some(password)));
    let (host, port) = place_of(place)?;
    let server = ServerAddress {
        host: decode(host)?,
        hostaddr: None,
        port: decode(port)?,
        user: decode(user)?,
        password: decode(password.unwrap_or_default())?,
        name: decode(name.trim_start_matches('/'))?,
    };
    Ok((server, parse_query(query)))
}

/// Host and port; an address of version 6 stands in brackets.
fn place_of(text: &str) -> Result<(&str, &str), String> {
    if text.contains(',') {
        return Err(SEVERAL.to_owned());
    }
    let Some(bracketed) = text.strip_prefix('[') else {
        return match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                Err("its host holds a `:`: write an IPv6 address in brackets, as in [::1]".to_owned())
            }
            Some(host_and_port) => Ok(host_and_port),
            None => Ok((text, "")),
        };
    };
    match bracketed.split_once(']') {
        Some((host, "")) => Ok((host, "")),
        Some((host, rest)) if rest.starts_with(':') => Ok((host, rest.trim_start_matches(':'))),
        _ => Err("its host begins with a bracket that nothing closes before the port".to_owned()),
    }
}

/// Empty is not given.
fn decode(text: &str) -> Result<Option<String>, String> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "it is not UTF-8 once it is decoded".to_owned())?;
    Ok((!text.is_empty()).then(|| text.into_owned()))
}

/// Words and values: `host=db dbname='my db'`, a backslash before what counts for itself.
fn words(text: &str) -> Result<Vec<Given>, String> {
    let wrong = || "it is no list of words and values, such as host=db dbname=x user=u".to_owned();
    let mut all = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
        let name = name.trim();
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let (value, after) = value(after.trim_start()).ok_or_else(wrong)?;
        all.push(Given { name: name.to_owned(), value, variable: None });
        rest = after.trim_start();
    }
    Ok(all)
}

/// A value, and what follows it; `None`: its quote is not closed.
fn value(text: &str) -> Option<(String, &str)> {
    let (quoted, body) = text.strip_prefix('\'').map_or((false, text), |body| (true, body));
    let mut value = String::new();
    let mut chars = body.chars();
    while let Some(c) = chars.next() {
        match c {
            '\'' if quoted => return Some((value, chars.as_str())),
            c if !quoted && c.is_whitespace() => return Some((value, chars.as_str())),
            '\\' => value.push(chars.next()?),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

impl ServerAddress {
    /// Takes what parameters say of it out of them.
    pub(super) fn take(&mut self, kept: &mut Vec<(String, String)>) -> Result<(), String> {
        let mut twice = None;
        kept.retain(|(name, value)| {
            let part = match name.as_str() {
                "host" => &mut self.host,
                "hostaddr" => &mut self.hostaddr,
                "port" => &mut self.port,
                "user" => &mut self.user,
                "password" => &mut self.password,
                "dbname" => &mut self.name,
                _ => return true,
            };
            if part.as_ref().is_some_and(|said| said != value) {
                twice = Some(name.clone());
            } else if !value.is_empty() {
                *part = Some(value.clone());
            }
            false
        });
        match twice {
            Some(name) => {
                Err(format!("its parameter `{name}` says otherwise than what stands before the `?`: keep one"))
            }
            None => Ok(()),
        }
    }

    /// What the variables of psql say, where the address says nothing.
    pub(super) fn complete(&mut self, variable: &impl Fn(&str) -> Option<String>) -> Result<(), String> {
        self.user = self.user.take().or_else(|| variable("PGUSER"));
        self.name = self.name.take().or_else(|| variable("PGDATABASE")).or_else(|| self.user.clone());
        self.hostaddr = self.hostaddr.take().or_else(|| variable("PGHOSTADDR"));
        self.port = Some(self.port.take().or_else(|| variable("PGPORT")).unwrap_or_else(|| "5432".to_owned()));
        self.password = self.password.take().or_else(|| variable("PGPASSWORD"));
        if self.password.is_none() && variable("PGPASSFILE").is_some() {
            return Err("PGPASSFILE is set, and files of passwords are not read: write the password into the address"
                .to_owned());
        }
        self.host = Some(self.host.take().or_else(|| variable("PGHOST")).unwrap_or_else(|| self.at_home()));
        Ok(())
    }

    /// The socket of a server on this machine, else its port.
    fn at_home(&self) -> String {
        let file = format!(".s.PGSQL.{}", self.port.as_deref().unwrap_or_default());
        let there = SOCKETS.into_iter().find(|folder| Path::new(folder).join(&file).exists());
        there.unwrap_or("localhost").to_owned()
    }

    /// Whether it is a file, which nothing on the way can read.
    pub(super) fn is_socket(&self) -> bool {
        self.hostaddr.is_none() && self.host.as_deref().is_some_and(|host| host.starts_with('/'))
    }

    /// Whether a name is to be checked that is not the one that is connected to.
    pub(super) fn is_renamed(&self) -> bool {
        self.hostaddr.is_some() && self.host.is_some() && self.hostaddr != self.host
    }

    /// The address as sqlx takes it, and host, port and database for messages; `kept` are the other parameters.
    pub(super) fn build_url(&self, mut kept: Vec<(String, String)>) -> Result<(Url, String), String> {
        let name =
            self.name.as_deref().ok_or("it names no database: write postgresql://USER:PASSWORD@HOST:PORT/NAME")?;
        let host = self.hostaddr.as_deref().or(self.host.as_deref()).unwrap_or("localhost");
        let port = self.port.as_deref().unwrap_or_default();
        if host.contains(',') || port.contains(',') {
            return Err(SEVERAL.to_owned());
        }
        let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or("its port is no number from 1 to 65535")?;
        let address = host.parse::<IpAddr>();
        if self.hostaddr.is_some() && address.is_err() {
            return Err("its `hostaddr` is no IP address".to_owned());
        }
        if host.starts_with('@') {
            return Err(
                "its host is an abstract socket, which is not supported: name the folder of a socket".to_owned()
            );
        }
        let (shown, placed) = match address {
            Ok(IpAddr::V6(_)) => (format!("[{host}]"), Some("localhost")),
            _ if host.starts_with('/') => (host.to_owned(), Some("localhost")),
            _ => (host.to_owned(), None),
        };
        let no_host = "its host is no name and no address";
        let mut url = Url::parse(&format!("postgresql://{}:{port}", placed.unwrap_or(host))).map_err(|_| no_host)?;
        if placed.is_none() && url.host_str() != Some(host) {
            return Err(no_host.to_owned());
        }
        url.set_path(&format!("/{}", encode(name)));
        let user = self.user.as_deref().map(encode).unwrap_or_default();
        let password = self.password.as_deref().map(encode);
        url.set_username(&user).and_then(|()| url.set_password(password.as_deref())).map_err(|()| no_host)?;
        if placed.is_some() {
            kept.push(("host".to_owned(), host.to_owned()));
        }
        if self.password.is_none() {
            // Without one sqlx reads `.pgpass`, and logs the lines that it does not understand.
            kept.push(("password".to_owned(), String::new()));
        }
        super::put(&mut url, &kept);
        Ok((url, format!("{shown}:{port}/{name}")))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}
