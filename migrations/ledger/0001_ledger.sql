-- What was pushed to an index that keeps no versions. A deleted one stays as a tombstone, or a late update would bring it
-- back. Ids are in the order of their bytes.
CREATE TABLE algolia_ledger (
    index_name        text NOT NULL,
    id                text COLLATE "C" NOT NULL,
    version           bigint NOT NULL,
    object            text,
    deleted           boolean NOT NULL GENERATED ALWAYS AS (object IS NULL) STORED,
    -- Whom it counts for, with how many stars.
    subject           text COLLATE "C",
    stars             smallint,
    -- Everybody that it ever counted for.
    subjects          text[] COLLATE "C" NOT NULL,
    -- What was held before the version that is held now; without a version nothing was.
    previous_version  bigint,
    previous_object   text,
    previous_subject  text COLLATE "C",
    previous_stars    smallint,
    PRIMARY KEY (index_name, id)
);

CREATE INDEX algolia_ledger_subject ON algolia_ledger (index_name, subject, stars) WHERE subject IS NOT NULL AND NOT deleted;

-- The rating of each subject. Of two the one with the higher number was counted later.
CREATE TABLE algolia_ratings (
    index_name  text NOT NULL,
    subject     text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    rating_seq  bigint,
    -- How often each number of stars was given, 1 first.
    histogram   bigint[],
    PRIMARY KEY (index_name, subject)
);

-- Below which version tombstones of an index may have been purged: an older event may update there, and not create.
CREATE TABLE algolia_horizons (
    index_name  text PRIMARY KEY,
    version     bigint NOT NULL
);
