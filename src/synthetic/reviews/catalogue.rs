//! What synthetic reviews are made of.

/// Titles for one star, two, and so on.
pub(super) const TITLES: [&[&str]; 5] = [
    &["Never again", "Decepcionante", "Not what was promised", "Schade um die Zeit"],
    &["Expected more", "Regular", "Too many ads", "Un peu déçu"],
    &["It's okay", "Ni bien ni mal", "Mixed feelings", "Geht so"],
    &["Really good", "Muy bueno", "Worth watching", "Sehr hilfreich", "Très bien"],
    &["Outstanding!", "¡Excelente!", "My favourite creator", "Einfach großartig", "最高です", "Love it 💛"],
];

/// What people write, whatever the stars.
pub(super) const SENTENCES: &[&str] = &[
    "I have followed this channel for two years.",
    "The videos are well researched, and the sources are linked.",
    "Explica todo con mucha paciencia.",
    "Audio could be better.",
    "Uploads have become rare lately.",
    "Die Beispiele sind aus der Praxis.",
    "I learned more here than in a semester.",
    "Says \"five minutes\" and takes twenty.",
    "Les miniatures promettent plus que le contenu.",
    "Answers every question in the comments.",
    "Recomendado para principiantes.",
    "The community is friendly.",
    "編集がとても丁寧です。",
];
