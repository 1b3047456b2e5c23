//! What synthetic users are made of: names and groups; the second of a pair is its form in an address.

pub(super) const FIRST_NAMES: &[(&str, &str)] = &[
    ("José", "jose"),
    ("María Fernanda", "maria.fernanda"),
    ("Zoë", "zoe"),
    ("Łukasz", "lukasz"),
    ("Mai", "mai"),
    ("Björn", "bjoern"),
    ("Aoife", "aoife"),
    ("João", "joao"),
    ("Chinedu", "chinedu"),
    ("Priya", "priya"),
    ("Sofía", "sofia"),
    ("François", "francois"),
    ("健二", "kenji"),
    ("Emma", "emma"),
    ("Fatima", "fatima"),
    ("Олена", "olena"),
    ("Liam", "liam"),
    ("Camila", "camila"),
];

pub(super) const LAST_NAMES: &[(&str, &str)] = &[
    ("García", "garcia"),
    ("Peña", "pena"),
    ("Müller", "mueller"),
    ("Nowak", "nowak"),
    ("Nguyễn", "nguyen"),
    ("Ångström", "angstrom"),
    ("O'Brien", "obrien"),
    ("Conceição", "conceicao"),
    ("Okafor", "okafor"),
    ("Núñez", "nunez"),
    ("Lefèvre", "lefevre"),
    ("田中", "tanaka"),
    ("Johnson", "johnson"),
    ("al-Zahra", "alzahra"),
    ("Шевченко", "shevchenko"),
    ("Smith", "smith"),
];

/// Reserved for examples (RFC 2606, section 3).
pub(super) const DOMAINS: &[&str] = &["example.com", "example.com", "example.org", "example.net"];

/// Organizations: name and slug.
pub(super) const ORGANIZATIONS: &[(&str, &str)] = &[
    ("Chess Club", "chess-club"),
    ("Lesekreis München", "lesekreis-muenchen"),
    ("Coro de la Montaña", "coro-de-la-montana"),
    ("Open Water Swimmers", "open-water-swimmers"),
    ("Fotografía Nocturna", "fotografia-nocturna"),
    ("Board Games & Tea", "board-games-tea"),
    ("読書会", "dokushokai"),
    ("Randonneurs du Dimanche", "randonneurs-du-dimanche"),
];

/// Key and name.
pub(super) const ROLES: &[(&str, &str)] =
    &[("org:member", "Member"), ("org:admin", "Admin"), ("org:moderator", "Moderator")];

/// What becomes of a session.
pub(super) const ENDS: &[&str] = &["ended", "removed", "revoked"];
