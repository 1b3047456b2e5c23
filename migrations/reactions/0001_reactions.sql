-- What the events between services came to. Each row is of one subject, and a stub while its own event has not arrived.
-- Times are microseconds since 1970. Ids are in the order of their bytes.

-- One aspect of a subject: of two the one with the later event counts, of one time that with the higher id, whichever came first.
CREATE TYPE aspect AS (at bigint, by text COLLATE "C", value text);

CREATE FUNCTION later(held aspect, given aspect) RETURNS aspect LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE
        WHEN (held).at IS NULL THEN given
        WHEN (given).at IS NULL THEN held
        WHEN ((given).at, (given).by) > ((held).at, (held).by) THEN given
        ELSE held
    END;

-- Which events were applied, a group at a time.
CREATE TABLE marks (
    consumer     text NOT NULL,
    event_id     text COLLATE "C" NOT NULL,
    digest       bytea NOT NULL,
    -- The record's own time, in milliseconds since 1970, by which marks are purged.
    recorded_ms  bigint,
    PRIMARY KEY (consumer, event_id)
);

-- Marks of records before this time may be gone, so their events change the state alone: they lead to nothing further.
CREATE TABLE horizon (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    recorded_ms  bigint NOT NULL DEFAULT 0
);

INSERT INTO horizon DEFAULT VALUES;

CREATE INDEX marks_age ON marks (recorded_ms);

-- ---- the subscription service

CREATE TABLE subscriptions (
    subscription_id  text COLLATE "C" PRIMARY KEY,
    subscriber       aspect,
    creator          aspect,
    tier             aspect,
    starts           aspect,
    status           aspect,
    period_end       aspect,
    -- The end of the last period that was paid for.
    paid_until       bigint,
    -- When it was created; until that is known this is a stub.
    created_at       bigint
);

CREATE INDEX subscriptions_stubs ON subscriptions ((subscription_id)) WHERE created_at IS NULL;

-- ---- the payment service

CREATE TABLE tiers (
    tier_id     text COLLATE "C" PRIMARY KEY,
    creator     aspect,
    created_at  bigint
);

CREATE INDEX tiers_stubs ON tiers ((tier_id)) WHERE created_at IS NULL;

-- Every price a tier ever had; without an amount, or a currency, that one stayed as it was.
CREATE TABLE tier_prices (
    tier_id   text COLLATE "C" NOT NULL,
    at        bigint NOT NULL,
    by        text COLLATE "C" NOT NULL,
    price     numeric,
    currency  text,
    PRIMARY KEY (tier_id, at, by)
);

-- A payment to collect for each subscription that was created.
CREATE TABLE collections (
    subscription_id  text COLLATE "C" PRIMARY KEY,
    subscriber       aspect NOT NULL,
    creator          aspect NOT NULL,
    tier             aspect NOT NULL,
    starts           aspect NOT NULL
);

-- What posts cost.
CREATE TABLE offers (
    post_id   text COLLATE "C" PRIMARY KEY,
    creator   aspect,
    price     aspect,
    currency  aspect
);

CREATE TABLE tips (
    event_id    text COLLATE "C" PRIMARY KEY,
    user_id     text COLLATE "C" NOT NULL,
    creator_id  text COLLATE "C" NOT NULL,
    amount      numeric NOT NULL,
    currency    text NOT NULL,
    post_id     text COLLATE "C",
    at          bigint NOT NULL
);

CREATE INDEX tips_creator ON tips (creator_id, currency);

-- ---- the content service

CREATE TABLE posts (
    post_id     text COLLATE "C" PRIMARY KEY,
    creator     aspect,
    price       aspect,
    currency    aspect,
    visibility  aspect,
    created_at  bigint,
    -- For good.
    deleted_at  bigint
);

CREATE INDEX posts_stubs ON posts ((post_id)) WHERE created_at IS NULL;

CREATE TABLE purchases (
    post_id     text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    first_at    bigint NOT NULL,
    PRIMARY KEY (post_id, user_id)
);

CREATE TABLE likes (
    post_id  text COLLATE "C" NOT NULL,
    user_id  text COLLATE "C" NOT NULL,
    liked    aspect NOT NULL,
    PRIMARY KEY (post_id, user_id)
);

CREATE TABLE comments (
    comment_id  text COLLATE "C" PRIMARY KEY,
    post_id     text COLLATE "C" NOT NULL,
    user_id     text COLLATE "C" NOT NULL,
    first_at    bigint NOT NULL
);

CREATE INDEX comments_post ON comments (post_id);

-- Who may see what a creator shows to subscribers, as far as the subscriptions' own events say.
CREATE TABLE access (
    subscription_id  text COLLATE "C" PRIMARY KEY,
    subscriber       aspect,
    creator          aspect,
    status           aspect,
    period_end       aspect,
    created_at       bigint
);

CREATE INDEX access_subscriber ON access (((subscriber).value), ((creator).value));

-- ---- the media service

CREATE TABLE media (
    media_id    text COLLATE "C" PRIMARY KEY,
    owner       aspect,
    status      aspect,
    -- When somebody else said that it is gone.
    deleted_at  bigint
);

-- Every post that a media was ever said to be of: it goes with the first of them that goes.
CREATE TABLE media_posts (
    media_id  text COLLATE "C" NOT NULL,
    post_id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (media_id, post_id)
);

CREATE INDEX media_posts_post ON media_posts (post_id);

-- Every file that a media was ever said to have.
CREATE TABLE media_keys (
    media_id    text COLLATE "C" NOT NULL,
    object_key  text COLLATE "C" NOT NULL,
    PRIMARY KEY (media_id, object_key)
);

-- The posts of media; whoever adds a media and whoever deletes a post take this row, so that one sees what the other did.
CREATE TABLE media_owners (
    post_id     text COLLATE "C" PRIMARY KEY,
    deleted_at  bigint
);

-- Files that are to be deleted after the commit. It is tried again until it is done, and never in the way of the outbox.
CREATE TABLE file_tasks (
    media_id    text COLLATE "C" NOT NULL,
    object_key  text COLLATE "C" NOT NULL,
    -- The first of its deleted posts, in whose name it is said to be gone; null while only somebody else said so.
    post_id     text COLLATE "C",
    created     timestamptz NOT NULL DEFAULT now(),
    attempts    integer NOT NULL DEFAULT 0,
    next_try    timestamptz NOT NULL DEFAULT now(),
    why         text,
    done        timestamptz,
    -- When that was put into the outbox; of all files of a media it is one event.
    said        timestamptz,
    PRIMARY KEY (media_id, object_key)
);

CREATE INDEX file_tasks_open ON file_tasks (next_try) WHERE done IS NULL OR (post_id IS NOT NULL AND said IS NULL);

-- Media that are there: nobody said that they are gone, and none of their posts is deleted.
CREATE VIEW living_media AS
SELECT m.media_id, (m.owner).value AS owner_id, (m.status).value AS status
FROM media m
WHERE m.deleted_at IS NULL AND NOT EXISTS (
    SELECT FROM media_posts p JOIN media_owners o ON o.post_id = p.post_id AND o.deleted_at IS NOT NULL
    WHERE p.media_id = m.media_id
);

-- ---- what the reactions say

-- The columns that Debezium's outbox router reads, and what the relay keeps. The order number is taken while the subject's row is
-- held, so of one subject it says which came first; a gap in it, or a lower number that is seen later, says nothing.
CREATE TABLE outbox (
    id             text COLLATE "C" PRIMARY KEY,
    aggregatetype  text NOT NULL,
    aggregateid    text COLLATE "C" NOT NULL,
    type           text NOT NULL,
    payload        text NOT NULL,
    source_id      text COLLATE "C",
    order_number   bigint GENERATED ALWAYS AS IDENTITY,
    created        timestamptz NOT NULL DEFAULT now(),
    published_at   timestamptz,
    -- The broker refused it, and why.
    parked_at      timestamptz,
    why            text
);

CREATE INDEX outbox_open ON outbox (order_number) WHERE published_at IS NULL AND parked_at IS NULL;
CREATE INDEX outbox_published ON outbox (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX outbox_created ON outbox (created);
CREATE INDEX outbox_source ON outbox (source_id);
CREATE INDEX outbox_parked ON outbox (parked_at) WHERE parked_at IS NOT NULL;

-- Who relays. Whoever takes the lease over raises the fence, and a relay that finds another fence than its own has lost it.
CREATE TABLE relay_lease (
    one         boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder      text,
    fence       bigint NOT NULL DEFAULT 0,
    expires     timestamptz NOT NULL DEFAULT '-infinity',
    -- The highest order number that was ever claimed: what is open up to here may have been published already.
    claimed_to  bigint NOT NULL DEFAULT 0
);

INSERT INTO relay_lease DEFAULT VALUES;

-- ---- what it all comes to

-- The payment of the first period: the price that the tier had when the subscription began; of one that began before the tier's
-- first price, that one; null while the tier has not come.
CREATE VIEW payments_to_collect AS
SELECT c.subscription_id,
       (c.subscriber).value AS subscriber_id,
       (c.creator).value AS creator_id,
       (c.tier).value AS tier_id,
       (c.starts).value::bigint AS starts_at,
       price.amount,
       currency.code AS currency
FROM collections c
LEFT JOIN LATERAL (
    SELECT p.price AS amount FROM tier_prices p
    WHERE p.tier_id = (c.tier).value AND p.price IS NOT NULL
    ORDER BY p.at <= (c.starts).value::bigint DESC,
             CASE WHEN p.at <= (c.starts).value::bigint THEN p.at END DESC, CASE WHEN p.at <= (c.starts).value::bigint THEN p.by END DESC,
             p.at, p.by
    LIMIT 1
) price ON true
LEFT JOIN LATERAL (
    SELECT p.currency AS code FROM tier_prices p
    WHERE p.tier_id = (c.tier).value AND p.currency IS NOT NULL
    ORDER BY p.at <= (c.starts).value::bigint DESC,
             CASE WHEN p.at <= (c.starts).value::bigint THEN p.at END DESC, CASE WHEN p.at <= (c.starts).value::bigint THEN p.by END DESC,
             p.at, p.by
    LIMIT 1
) currency ON true;

CREATE VIEW tip_totals AS
SELECT creator_id, currency, sum(amount) AS total, count(*) AS tips FROM tips GROUP BY creator_id, currency;

CREATE VIEW post_counters AS
SELECT p.post_id,
       (SELECT count(*) FROM likes l WHERE l.post_id = p.post_id AND (l.liked).value = 'true') AS likes,
       (SELECT count(*) FROM comments c WHERE c.post_id = p.post_id) AS comments
FROM posts p;

-- Until when each subscription opens its creator's posts: null without an end. What is pending or active has none; else the end of
-- the period, as said or as last paid for; without one, at once.
CREATE VIEW open_subscriptions AS
SELECT a.subscription_id,
       (a.subscriber).value AS subscriber_id,
       (a.creator).value AS creator_id,
       (state.status).value AS status,
       CASE WHEN (state.status).value NOT IN ('pending', 'active')
            THEN coalesce((state.period_end).value::bigint, state.paid_until, (state.status).at)
       END AS ends_at
FROM access a
CROSS JOIN LATERAL (
    SELECT later(a.status, s.status) AS status, later(a.period_end, s.period_end) AS period_end, s.paid_until
    FROM (SELECT 1) one LEFT JOIN subscriptions s ON s.subscription_id = a.subscription_id
) state
WHERE a.created_at IS NOT NULL;

-- Whether a user may see a post. Its creator and who bought it always may, while it is there; one with a price nobody else; one for
-- subscribers those whose subscription is open; any other everybody.
CREATE FUNCTION can_view(viewer text, post text, moment timestamptz DEFAULT now()) RETURNS boolean LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM posts p
        WHERE p.post_id = post AND p.created_at IS NOT NULL AND p.deleted_at IS NULL
          AND CASE
                WHEN (p.creator).value = viewer THEN true
                WHEN EXISTS (SELECT FROM purchases b WHERE b.post_id = post AND b.user_id = viewer) THEN true
                WHEN (p.price).value::numeric > 0 THEN false
                WHEN (p.visibility).value = 'subscribers' THEN EXISTS (
                    SELECT FROM open_subscriptions o
                    WHERE o.subscriber_id = viewer AND o.creator_id = (p.creator).value
                      AND (o.ends_at IS NULL OR o.ends_at > extract(epoch FROM moment) * 1000000)
                )
                ELSE true
              END
    );
END;
