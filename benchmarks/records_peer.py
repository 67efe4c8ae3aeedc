"""The peer of the records' benchmark: the same files to the same tables in DuckDB, no gates.

usage: records_peer.py FILES_DIR OUT_DIR

It cleans what these files may hold (spaces, case, forms of ids) and no more: no ledger, no history
of classes, no held rows, no transactions. Two threads, as the build gets two cores.
"""

import shutil
import sys
from pathlib import Path

import duckdb

CLEAN = """
CREATE MACRO digits(text) AS regexp_extract(upper(trim(text)), '[0-9]+');
CREATE MACRO width(text) AS greatest(3, length(digits(text)))::INTEGER;
CREATE MACRO student(text) AS 'STU' || lpad(digits(text), width(text), '0');
CREATE MACRO pseudonym(text) AS sha256('k' || sha256('k' || student(text)));
"""
STUDENTS = """
CREATE TEMP TABLE students AS
SELECT DISTINCT ON (student_hash) pseudonym(student_id) AS student_hash, trim(class_id) AS class_id,
    enrollment_status
FROM read_csv('{files}/students.csv', all_varchar = true)
ORDER BY student_hash, updated_at::TIMESTAMPTZ DESC
"""
ATTENDANCE = """
CREATE TEMP TABLE attendance AS
WITH received AS (
    SELECT upper(trim(attendance_id)) AS attendance_id, pseudonym(student_id) AS student_hash,
        attendance_date::DATE AS attendance_date, upper(trim(status)) = 'PRESENT' AS is_present,
        created_at::TIMESTAMPTZ AS created_at
    FROM read_csv('{files}/attendance_*.csv', all_varchar = true)),
newest AS (
    SELECT attendance_id, arg_max(received, created_at) AS kept FROM received GROUP BY 1)
SELECT kept.*, class_id FROM newest JOIN students ON kept.student_hash = students.student_hash
"""
ASSESSMENTS = """
CREATE TEMP TABLE assessments AS
WITH received AS (
    SELECT upper(trim(assessment_id)) AS assessment_id, pseudonym(student_id) AS student_hash,
        assessment_date::DATE AS assessment_date, trim(subject) AS subject, score::DOUBLE AS score,
        max_score::DOUBLE AS max_score, score::DOUBLE / max_score::DOUBLE AS score_pct,
        created_at::TIMESTAMPTZ AS created_at
    FROM read_json('{files}/assessments_*.json', columns = {{assessment_id: 'VARCHAR',
        student_id: 'VARCHAR', subject: 'VARCHAR', score: 'VARCHAR', max_score: 'VARCHAR',
        assessment_date: 'VARCHAR', created_at: 'VARCHAR'}})),
newest AS (
    SELECT assessment_id, arg_max(received, created_at) AS kept FROM received GROUP BY 1)
SELECT kept.*, class_id FROM newest JOIN students ON kept.student_hash = students.student_hash
"""
DAILY = """
SELECT date, class_id, any_value(total_students) AS total_students,
    count(DISTINCT student_hash) FILTER (is_present IS NOT NULL) AS students_with_attendance,
    count(DISTINCT student_hash) FILTER (is_present) AS present_count,
    count(DISTINCT student_hash) FILTER (score_pct IS NOT NULL) AS students_with_assessment,
    count(score_pct) AS assessment_count, avg(100 * score_pct) AS avg_score
FROM (
    SELECT attendance_date AS date, class_id, student_hash, is_present, NULL::DOUBLE AS score_pct
    FROM attendance
    UNION ALL
    SELECT assessment_date, class_id, student_hash, NULL, score_pct FROM assessments)
JOIN (SELECT class_id, count(*) AS total_students FROM students
      WHERE enrollment_status = 'active' GROUP BY 1) USING (class_id)
GROUP BY date, class_id
"""
SUMMARY = """
SELECT student_hash, class_id, total_attendance_days, present_days, total_assessments, avg_score,
    min_score, max_score
FROM (SELECT student_hash, class_id, count(DISTINCT attendance_date) AS total_attendance_days,
          count(DISTINCT attendance_date) FILTER (is_present) AS present_days
      FROM attendance GROUP BY ALL)
FULL JOIN (SELECT student_hash, class_id, count(*) AS total_assessments,
               avg(100 * score_pct) AS avg_score, min(100 * score_pct) AS min_score,
               max(100 * score_pct) AS max_score
           FROM assessments GROUP BY ALL) USING (student_hash, class_id)
"""


def main(files: Path, out: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    database = duckdb.connect()
    database.execute("SET threads = 2; SET memory_limit = '12GB'; SET TimeZone = 'UTC'")
    database.execute("SET preserve_insertion_order = false")
    database.execute(CLEAN)
    for statement in (STUDENTS, ATTENDANCE, ASSESSMENTS):
        database.execute(statement.format(files=files))
    tables = {
        "fact_attendance": "SELECT * FROM attendance",
        "fact_assessments": "SELECT * FROM assessments",
        "class_daily_performance": DAILY,
        "student_performance_summary": SUMMARY,
    }
    for name, query in tables.items():
        database.execute(f"COPY ({query}) TO '{out}/{name}.parquet' (COMPRESSION zstd)")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
