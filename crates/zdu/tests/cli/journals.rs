//! Journals that are right in themselves and not what they were.

use crate::{Place, rollout};

#[test]
fn a_journal_that_lost_its_last_byte_or_line_is_refused_where_a_report_knows_its_end() {
    let place = Place::new();
    let journal = rollout(&place, "r1");
    let report = place.zdu(&["report", "--json"]).ends(0).json();
    let beside = journal.with_file_name("report.json");
    std::fs::write(&beside, report.to_string()).expect("written");
    let _whole = place.zdu(&["verify"]).ends(0);
    let bytes = std::fs::read(&journal).expect("there");
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let shorter = bytes.len() - lines.last().expect("lines").len();
    for left in [bytes.len() - 1, shorter] {
        std::fs::write(&journal, &bytes[..left]).expect("written");
        let told = place.zdu(&["verify"]).ends(65).gives_nothing();
        let _told = told.says("it does not hold the line").says("hint: that stands in report.json");
    }
    // A journal that went on behind the report holds the line still.
    std::fs::write(&journal, &bytes[..shorter]).expect("written");
    let earlier = place.zdu(&["report", "--json"]).ends(0).json();
    std::fs::write(&beside, earlier.to_string()).expect("written");
    std::fs::write(&journal, &bytes).expect("written");
    let _later = place.zdu(&["verify"]).ends(0);
}

#[test]
fn a_rollout_whose_journal_was_emptied_or_removed_is_not_shown_as_one_that_has_not_begun() {
    let place = Place::new();
    let journal = rollout(&place, "r1");
    // As every controller that drives makes it behind the first record.
    std::fs::create_dir_all(journal.with_file_name("captures")).expect("made");
    let _fine = place.zdu(&["status", "r1"]).ends(0).gives("RUNNING");
    std::fs::write(&journal, "").expect("written");
    let lost = "it holds no record, and there were some";
    let _emptied = place.zdu(&["status", "r1"]).ends(65).gives_nothing().says(lost);
    std::fs::remove_file(&journal).expect("there");
    for words in [&["status", "r1"][..], &["report", "r1"], &["log", "r1"]] {
        let _removed =
            place.zdu(words).ends(65).gives_nothing().says(lost).says("hint: put it back");
    }
    let _row = place.zdu(&["status"]).ends(0).gives("UNREADABLE").says(lost);
}
