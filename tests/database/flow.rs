//! Operations from Kafka into the tables.

use serde_json::json;
use testkit::world::{options_of, scaled};

use crate::buffer::{Buffer, Engine, operation};
use crate::model::Model;
use crate::on_each;

on_each!(
    one_operation_of_each_kind,
    what_is_published_is_what_the_tables_hold,
    the_tables_equal_a_model,
    an_id_that_the_database_makes_is_kept_in_the_mark,
    a_new_entity_needs_no_code,
    an_update_may_expect_a_version,
);

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

fn one_operation_of_each_kind(engine: Engine) {
    let buffer = Buffer::new(engine, "database-kinds");
    buffer.send(&[
        operation("1", "CREATE", "User", json!({"id": 1, "name": "Ana", "email": "a@x.co"})),
        operation(
            "2",
            "BULK_CREATE",
            "User",
            json!([
                {"id": "2", "name": "Bo", "email": "b@x.co"}, {"id": 3, "name": "Cy", "email": "c@x.co"},
            ]),
        ),
        operation("3", "UPDATE", "User", json!({"id": 1, "name": "Anna"})),
        operation("4", "UPDATE", "User", json!({"where": {"id": 2}, "values": {"phone": "5"}})),
        operation("5", "BULK_UPDATE", "User", json!({"ids": [1, 3], "values": {"role": "r"}})),
        operation("6", "DELETE", "User", json!({"id": 2})),
        operation("7", "DELETE", "User", json!({"id": 99})),
    ]);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["dead_lettered"]), (&json!(7), &json!(0)), "{:?}", buffer.letters());
    let rows = buffer.rows("Users", &["id", "name", "role", "createdAt"]);
    let at = if engine == Engine::MariaDb { "2023-11-13 11:55:43.210" } else { "2023-11-13 11:55:43.21+00" };
    assert_eq!(rows, [some(&["1", "Anna", "r", at]), some(&["3", "Cy", "r", at])]);
    assert_eq!(buffer.applied(), 7);
    // Read once more from the start, everything is applied already.
    buffer.world.reset_group(&buffer.world.env["KAFKA_GROUP_ID"]);
    assert_eq!(buffer.run_once()["superseded"], json!(7));
    assert_eq!(buffer.rows("Users", &["id", "name", "role", "createdAt"]), rows);
}

fn what_is_published_is_what_the_tables_hold(engine: Engine) {
    let buffer = Buffer::new(engine, "database-published");
    let count = scaled(1_000).to_string();
    let ratios =
        ["--update-ratio", "0.5", "--delete-ratio", "0.1", "--duplicate-ratio", "0.05", "--malformed-ratio", "0.01"];
    let report = buffer.world.publish(&[&["--system", "database", "--count", &count][..], &ratios].concat());
    let options = options_of(&report, |options| {
        (options.update_ratio, options.delete_ratio) = (0.5, 0.1);
        (options.duplicate_ratio, options.malformed_ratio) = (0.05, 0.01);
    });
    let summary = buffer.run_once();
    let counts = options.counts().unwrap();
    assert_eq!(summary["records"], json!(counts.records()));
    let expected = millrace::synthetic::operations::expect_rows(&options).unwrap();
    for (entity, table, columns) in [
        ("User", "Users", &["id", "email", "name", "phone"][..]),
        ("Business", "Businesses", &["id", "name", "sector", "description"]),
        ("Finance", "Finances", &["id", "businessId", "income", "currency"]),
        ("Rating", "Ratings", &["id", "businessId", "score"]),
    ] {
        let living = expected.values().filter(|row| row.entity == entity && !row.deleted);
        let mut wanted: Vec<Vec<Option<String>>> = living
            .map(|row| {
                let value = |name: &&str| match *name {
                    "id" => Some(row.id.to_string()),
                    name => row.columns.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone()),
                };
                columns.iter().map(value).collect()
            })
            .collect();
        wanted.sort_by_key(|row| row[0].as_ref().unwrap().parse::<u64>().unwrap());
        buffer.assert_rows(table, columns, &wanted);
    }
    // A copy of what cannot be applied is a letter again.
    let malformed = millrace::synthetic::operations::events(&options).unwrap();
    let malformed = malformed.filter(|event| event.kind == millrace::synthetic::SyntheticKind::Malformed).count();
    assert_eq!(summary["dead_lettered"], json!(malformed), "{:?}", buffer.letters());
}

fn the_tables_equal_a_model(engine: Engine) {
    let buffer = Buffer::new(engine, "database-model");
    let mut model = Model::new(7);
    let operations: Vec<_> = (0..scaled(3_000)).map(|number| model.next(number)).collect();
    buffer.send(&operations);
    let summary = buffer.run_once();
    buffer.assert_rows("Users", &["id", "name", "email", "role"], &model.rows());
    assert_eq!(summary["dead_lettered"], json!(model.letters), "{:?}", buffer.letters().first());
    assert_eq!(buffer.applied() as u64, operations.len() as u64 - model.letters);
}

fn an_id_that_the_database_makes_is_kept_in_the_mark(engine: Engine) {
    let buffer = Buffer::new(engine, "database-made");
    let made = |id: &str| operation(id, "CREATE", "Rating", json!({"businessId": 1, "score": 5}));
    buffer.send(&[made("a"), made("b"), made("a")]);
    let summary = buffer.run_once();
    assert_eq!((&summary["applied"], &summary["superseded"]), (&json!(2), &json!(1)), "{:?}", buffer.letters());
    assert_eq!(buffer.rows("Ratings", &["id"]), [some(&["1"]), some(&["2"])]);
    assert_eq!(
        buffer.rows("millrace_operations", &["made_id", "user_id", "source"]),
        [some(&["1", "123", "test"]), some(&["2", "123", "test"])]
    );
}

fn a_new_entity_needs_no_code(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-entity");
    buffer.world.set("DATABASE_ENTITIES", "Stock=stock(amount)");
    buffer.execute("CREATE TABLE \"stock\" (\"shop\" INT NOT NULL, \"sku\" VARCHAR(20) NOT NULL, \"amount\" INT, \"secret\" INT, PRIMARY KEY (\"shop\", \"sku\"))");
    buffer.send(&[
        operation("1", "CREATE", "Stock", json!({"shop": 1, "sku": "a", "amount": 5})),
        operation("2", "BULK_CREATE", "Stock", json!({"records": [{"shop": 1, "sku": "b"}, {"shop": 2, "sku": "a"}]})),
        operation("3", "UPDATE", "Stock", json!({"shop": 1, "sku": "b", "amount": 6})),
        operation(
            "4",
            "BULK_UPDATE",
            "Stock",
            json!({"ids": [{"shop": 1, "sku": "a"}, {"shop": 2, "sku": "a"}], "values": {"amount": 7}}),
        ),
        operation("5", "UPDATE", "Stock", json!({"shop": 1, "sku": "a", "secret": 6})),
        operation("6", "DELETE", "Stock", json!({"shop": 1})),
    ]);
    buffer.run_once();
    let classes: Vec<String> = buffer.letters().into_iter().map(|(class, _)| class).collect();
    assert_eq!(classes, ["unknown_column", "missing_key"]);
    let rows = buffer.rows("stock", &["sku", "shop", "amount"]);
    let mut rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.into_iter().flatten().collect()).collect();
    rows.sort();
    assert_eq!(rows, [["a", "1", "7"], ["a", "2", "7"], ["b", "1", "6"]]);
}

fn an_update_may_expect_a_version(engine: Engine) {
    let mut buffer = Buffer::new(engine, "database-versions");
    buffer.world.set("DATABASE_ENTITIES", "Note=notes,Plain=plains");
    buffer.execute("CREATE TABLE \"notes\" (\"id\" INT PRIMARY KEY, \"body\" VARCHAR(20), \"version\" INT NOT NULL)");
    buffer.execute("CREATE TABLE \"plains\" (\"id\" INT PRIMARY KEY, \"body\" VARCHAR(20))");
    let update = |id: &str, entity: &str, body: &str, expected: u64| {
        let mut operation = operation(id, "UPDATE", entity, json!({"id": 1, "body": body}));
        operation["metadata"]["expectedVersion"] = json!(expected);
        operation
    };
    buffer.send(&[
        operation("1", "CREATE", "Note", json!({"id": 1, "body": "a", "version": 0})),
        operation("2", "CREATE", "Plain", json!({"id": 1, "body": "a"})),
        update("3", "Note", "b", 0),
        update("4", "Note", "c", 0),
        update("5", "Note", "d", 1),
        update("6", "Plain", "b", 0),
        update("7", "Note", "e", 7),
    ]);
    assert_eq!(buffer.run_once()["applied"], json!(4), "{:?}", buffer.letters());
    assert_eq!(buffer.rows("notes", &["id", "body", "version"]), [some(&["1", "d", "2"])]);
    let letters = buffer.letters();
    let classes: Vec<&str> = letters.iter().map(|(class, _)| class.as_str()).collect();
    assert_eq!(classes, ["version_mismatch", "no_version_column", "version_mismatch"]);
    assert!(letters[0].1.ends_with("the row is of version 1, and version 0 was expected"), "{}", letters[0].1);
}
