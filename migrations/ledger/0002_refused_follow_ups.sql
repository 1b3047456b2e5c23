-- Subjects whose rating, or what shows it, a document refuses. They are tried again until it does not.
CREATE TABLE millrace_refused_follow_ups (
    system    text NOT NULL,
    subject   text COLLATE "C" NOT NULL,
    document  text NOT NULL,
    why       text NOT NULL,
    -- Another one each time that the subject is listed.
    token     text NOT NULL,
    since     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (system, subject)
);
