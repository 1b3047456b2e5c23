//! What synthetic transactions are made of: merchants as card processors write them, people, assets.

/// A merchant: descriptor (`#` stands for a digit), ISO 18245 category, city.
pub(super) const MERCHANTS: &[(&str, &str, &str)] = &[
    ("SQ *CAFÉ MÜLLER", "5814", "Berlin"),
    ("SQ *BLUE BOTTLE COFFEE", "5814", "Oakland"),
    ("Starbucks", "5814", "Seattle"),
    ("STARBUCKS STORE #####", "5814", "Bogotá"),
    ("TST* Joe's Pizza - Broadway", "5812", "New York"),
    ("PAYPAL *SPOTIFY", "5815", "Stockholm"),
    ("PAYPAL *STEAM GAMES", "5816", "Bellevue"),
    ("AMZN Mktp US*##K#LM#", "5942", "Seattle"),
    ("UBER   *TRIP HELP.UBER.COM", "4121", "São Paulo"),
    ("UBER *EATS", "5812", "Medellín"),
    ("MERCADOPAGO*PANADERÍA LA ESPIGA", "5462", "Buenos Aires"),
    ("MERPAGO*FARMACITY", "5912", "Córdoba"),
    ("Éxito Laureles ####", "5411", "Medellín"),
    ("WALMART SUPERCENTER #####", "5411", "Ciudad de México"),
    ("POS DEBIT 7-ELEVEN #####", "5499", "Taipei"),
    ("SHELL OIL ##########", "5541", "Houston"),
    ("IKEA Älmhult", "5712", "Älmhult"),
    ("DB VERTRIEB GMBH", "4112", "Frankfurt am Main"),
    ("Ryanair FR######", "4511", "Dublin"),
    ("AIRBNB * HM########", "4722", "San Francisco"),
    ("NETFLIX.COM", "4899", "Los Gatos"),
    ("Google *YouTube Premium", "5815", "Mountain View"),
    ("APPLE.COM/BILL", "5818", "Cupertino"),
    ("SumUp *Crêperie de la Gare", "5812", "Rennes"),
    ("Zettle_*Göteborgs Saluhall", "5499", "Göteborg"),
    ("DOLLARCITY CHAPINERO", "5331", "Bogotá"),
    ("ŻABKA Z####", "5411", "Kraków"),
    ("寿司 さくら", "5812", "Tokyo"),
    ("Librería Ñandú", "5942", "Montevideo"),
    ("CVS/PHARMACY #####", "5912", "Boston"),
];

/// People who send and receive.
pub(super) const PEOPLE: &[&str] = &[
    "José García",
    "María Fernanda Peña",
    "Zoë Müller",
    "Łukasz Nowak",
    "Nguyễn Thị Mai",
    "Björn Ångström",
    "Aoife O'Brien",
    "João Conceição",
    "Anna Kowalska",
    "Chinedu Okafor",
    "Priya Raghunathan",
    "Sofía Núñez",
    "François Lefèvre",
    "Kenji Tanaka",
    "Emma Johnson",
    "Mateo Rodríguez",
    "Fatima al-Zahra",
    "Olena Шевченко",
    "Liam Smith",
    "Camila Restrepo",
];

/// What people write beside a transfer.
pub(super) const NOTES: &[&str] = &[
    "rent",
    "cena del viernes",
    "thanks for lunch",
    "cumpleaños 🎂",
    "taxi",
    "Miete Juli",
    "groceries",
    "regalo",
    "café",
    "",
];

/// Money that cards and transfers are in.
pub(super) const CURRENCIES: &[&str] = &["USD", "USD", "USD", "EUR", "BRL", "MXN", "COP", "ARS"];

/// A crypto asset: symbol, network, decimals, lowest price in dollars, start of an address, length of its rest.
pub(super) const ASSETS: &[(&str, &str, u32, u32, &str, usize)] = &[
    ("BTC", "bitcoin", 8, 60_000, "bc1q", 38),
    ("ETH", "ethereum", 18, 2_500, "0x", 40),
    ("SOL", "solana", 9, 140, "", 44),
    ("LTC", "litecoin", 8, 80, "ltc1q", 38),
    ("AVAX", "avalanche", 18, 25, "0x", 40),
    ("DOT", "polkadot", 10, 6, "1", 46),
];

/// What becomes of a transaction, update by update.
pub(super) const STATUS_PATHS: &[&[&str]] = &[
    &["pending", "completed"],
    &["pending", "completed", "refunded"],
    &["pending", "processing", "completed"],
    &["pending", "failed"],
    &["completed"],
    &["completed", "refunded"],
];
