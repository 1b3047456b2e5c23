//! Errors that a trigger provokes, by their codes: what each means is what the table of codes says.

use serde_json::{Value, json};

use crate::buffer::{Buffer, Engine, operation};
use crate::on_each;

on_each!(
    a_transaction_that_ends_by_itself_is_begun_anew,
    no_outage_makes_a_letter,
    what_is_poison_is_a_letter_and_what_may_pass_goes_up_the_ladder,
);

/// Codes that mean one thing.
struct Codes {
    restart: &'static [&'static str],
    outage: &'static [&'static str],
    poison: &'static [&'static str],
    /// The last is one that nobody knows.
    ladder: &'static [&'static str],
}

fn codes(engine: Engine) -> Codes {
    match engine {
        Engine::MariaDb => Codes {
            restart: &["1020", "1205", "1213", "1317", "1969", "3024"],
            outage: &["1021", "1114", "1040", "1041", "1047", "1053", "1290", "1792", "1836", "1927", "2006", "2013"],
            poison: &["1048", "1264", "1265", "1292", "1364", "1366", "1406", "3819", "4025"],
            ladder: &["1216", "1217", "1451", "1452", "9999"],
        },
        Engine::Postgres => Codes {
            restart: &["40001", "40P01", "55P03", "57014"],
            outage: &["08006", "25006", "53100", "53200", "53300", "57P01", "57P02", "57P03", "58030", "XX000"],
            poison: &["22001", "22003", "22P02", "23502", "23514", "23P01", "54000"],
            ladder: &["23503", "0A000"],
        },
    }
}

/// A database whose users cannot be made so many times, with the code that their role names.
fn provoking(engine: Engine, name: &str, codes: &[&str], times: u32) -> Buffer {
    let buffer = Buffer::new(engine, name);
    buffer.run_once();
    match engine {
        Engine::MariaDb => {
            // What it counts is not rolled back.
            buffer.execute("CREATE TABLE provoked (code INT PRIMARY KEY, remaining INT) ENGINE=MyISAM");
            buffer.execute(
                "CREATE TRIGGER provoke BEFORE INSERT ON Users FOR EACH ROW BEGIN DECLARE n, c INT DEFAULT 0; \
                 IF NEW.role IS NOT NULL THEN SET c = NEW.role; SELECT remaining INTO n FROM provoked WHERE code = c; \
                 IF n > 0 THEN UPDATE provoked SET remaining = n - 1 WHERE code = c; \
                 SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = c, MESSAGE_TEXT = 'provoked'; END IF; END IF; END",
            );
            for code in codes {
                buffer.execute(&format!("INSERT INTO provoked VALUES ({code}, {times})"));
            }
        }
        Engine::Postgres => {
            // A sequence is not rolled back.
            buffer.execute(&format!(
                "CREATE FUNCTION provoke() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.role IS NOT NULL AND \
                 nextval('provoked_' || lower(NEW.role)) <= {times} THEN RAISE EXCEPTION 'provoked' USING ERRCODE = NEW.role; \
                 END IF; RETURN NEW; END $$"
            ));
            buffer.execute("CREATE TRIGGER provoke BEFORE INSERT ON \"Users\" FOR EACH ROW EXECUTE FUNCTION provoke()");
            for code in codes {
                buffer.execute(&format!("CREATE SEQUENCE \"provoked_{}\"", code.to_lowercase()));
            }
        }
    }
    buffer
}

fn user(id: usize, code: Option<&str>) -> Value {
    let row = json!({"id": id, "name": "n", "email": format!("{id}@x.co"), "role": code});
    operation(&format!("o{id}"), "CREATE", "User", row)
}

fn a_transaction_that_ends_by_itself_is_begun_anew(engine: Engine) {
    let codes = codes(engine).restart;
    let buffer = provoking(engine, "database-restarts", codes, 1);
    for (number, code) in codes.iter().enumerate() {
        let first = 1 + number * 200;
        let operations: Vec<Value> =
            (first..first + 200).map(|id| user(id, (id == first + 120).then_some(code))).collect();
        buffer.send(&operations);
        let summary = buffer.run_once();
        assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(200), &json!(0)), "{code}");
    }
    let all = 200 * codes.len();
    assert_eq!((buffer.count("Users"), buffer.applied()), (all, all));
}

fn no_outage_makes_a_letter(engine: Engine) {
    let codes = codes(engine).outage;
    let buffer = provoking(engine, "database-outages", codes, 2);
    buffer.send(&codes.iter().enumerate().map(|(id, code)| user(id + 1, Some(code))).collect::<Vec<_>>());
    let summary = buffer.run_once();
    assert_eq!(
        (&summary["applied"], &summary["dead_lettered"]),
        (&json!(codes.len()), &json!(0)),
        "{:?}",
        buffer.letters()
    );
    assert_eq!(buffer.count("Users"), codes.len());
}

fn what_is_poison_is_a_letter_and_what_may_pass_goes_up_the_ladder(engine: Engine) {
    let Codes { poison, ladder, .. } = codes(engine);
    let codes = [poison, ladder].concat();
    let buffer = provoking(engine, "database-poison", &codes, 1_000);
    let mut operations: Vec<Value> = codes.iter().enumerate().map(|(id, code)| user(id + 1, Some(code))).collect();
    operations.push(user(100, None));
    buffer.send(&operations);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(1), &json!(codes.len())));
    let letters = buffer.letters();
    let classes: Vec<&str> = letters.iter().map(|(class, _)| class.trim_start_matches("sql_")).collect();
    assert_eq!(classes, codes);
    let tries = [vec![1; poison.len()], vec![3; ladder.len()]].concat();
    assert_eq!(buffer.attempts(), tries, "{classes:?}");
}
