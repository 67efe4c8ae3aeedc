"""Gold: what analysts, teachers and dashboards read."""

from schemas import columns as c
from schemas.table import Column, Table, between, ordered

READERS = frozenset({"analyst", "teacher", "engineer"})
COURSE_ID = c.COURSE_ID.with_(nulls="the events name a chapter and no course")
CHAPTER_ID = Column("chapter_id", "string", "Chapter, as the LMS names it.")

STUDENT_DAILY_ACTIVITY = Table(
    name="gold.student_daily_activity",
    doc="What a student did on a day.",
    grain="one student on one UTC day with at least one event",
    columns=(
        c.DATE,
        c.STUDENT_HASH,
        Column("total_sessions", "bigint", "Sessions that started on the day."),
        Column(
            "total_time_spent_seconds",
            "double",
            "Time inside sessions on the day; a session that crosses midnight is split there.",
            unit="seconds",
        ),
        Column(
            "carried_over_seconds",
            "double",
            "Part of total_time_spent_seconds that only an event of the next day tells of: from "
            "the day's last event to midnight, where the session goes on.",
            unit="seconds",
        ),
        Column("pages_viewed", "bigint", "Page views."),
        Column("quizzes_attempted", "bigint", "Quiz attempts (answers to questions)."),
        Column("quizzes_correct", "bigint", "Quiz attempts answered correctly."),
        Column(
            "videos_watched_seconds",
            "double",
            "Video time watched: per video the union of intervals, else watched_seconds summed.",
            unit="seconds",
        ),
        Column("assignments_submitted", "bigint", "Assignments handed in."),
        Column("events_count", "bigint", "Events of the day."),
    ),
    keys=("date", "student_hash"),
    partition_by="date",
    checks=(
        between("total_sessions", 0),
        between("total_time_spent_seconds", 0, 86_400),
        ordered("carried_over_seconds", "total_time_spent_seconds"),
        between("videos_watched_seconds", 0),
        between("events_count", 1),
    ),
    retention_days=800,
    readers=READERS,
)

STUDENT_CHAPTER_PROGRESS = Table(
    name="gold.student_chapter_progress",
    doc="What a student did in a chapter on a day.",
    grain="one student in one chapter on one UTC day",
    columns=(
        c.DATE,
        c.STUDENT_HASH,
        COURSE_ID,
        CHAPTER_ID,
        Column(
            "time_spent_seconds",
            "double",
            "Time in the chapter: from each event to the next of the session; for the last event "
            "of a session its page_dwell_seconds, if any.",
            unit="seconds",
        ),
        Column("page_dwell_seconds", "double", "Sum of the page views' dwell.", unit="seconds"),
        Column("scroll_depth_avg", "double", "Mean scroll depth.", "never reported", "0-1"),
        Column("scroll_depth_max", "double", "Largest scroll depth.", "never reported", "0-1"),
        c.VIDEO_WATCH_PCT.with_(
            nulls="no video of known length was played",
            doc="Share watched of the chapter's videos that were played that day.",
            formula="sum of watched time / sum of lengths over the videos of known length",
        ),
        c.COMPLETION_FLAG,
        Column("visits_count", "bigint", "Visits that ended on the day."),
        Column("exit_visits_count", "bigint", "Visits that ended the session."),
        Column("events_count", "bigint", "Events in the chapter."),
        Column("scroll_depth_count", "bigint", "Events that reported a scroll depth."),
    ),
    keys=("date", "student_hash", "course_id", "chapter_id"),
    partition_by="date",
    checks=(
        between("time_spent_seconds", 0),
        between("scroll_depth_avg", 0, 1),
        between("scroll_depth_max", 0, 1),
        between("video_watch_pct", 0, 1),
    ),
    retention_days=800,
    readers=READERS,
)

STUDENT_QUESTION_ATTEMPTS = Table(
    name="gold.student_question_attempts",
    doc="A student's attempts at a question on a day.",
    grain="one student at one question of one quiz on one UTC day",
    columns=(
        c.DATE,
        c.STUDENT_HASH,
        c.QUIZ_ID.with_(doc="Quiz of the question."),
        Column("question_id", "string", "Quiz question."),
        Column("attempts_count", "bigint", "Attempts on the day."),
        Column("correct_count", "bigint", "Attempts answered correctly."),
        Column(
            "time_per_question",
            "double",
            "Mean time spent on an attempt (metadata.time_spent).",
            "no attempt reported its time",
            "seconds",
        ),
        Column("timed_attempts_count", "bigint", "Attempts that reported their time."),
        Column(
            "is_correct_first",
            "boolean",
            "Whether the first attempt of the day (by ts, event_id) that reports a result "
            "was correct.",
            "no attempt reported a result",
        ),
    ),
    keys=("date", "student_hash", "quiz_id", "question_id"),
    partition_by="date",
    checks=(between("attempts_count", 1), between("time_per_question", 0)),
    retention_days=800,
    readers=READERS,
)

CHAPTER_ENGAGEMENT = Table(
    name="gold.chapter_engagement",
    doc="How a chapter was used on a day.",
    grain="one chapter on one UTC day",
    columns=(
        c.DATE,
        COURSE_ID,
        CHAPTER_ID,
        Column("total_time_spent", "double", "Time of all students.", unit="seconds"),
        Column(
            "avg_time_per_visit",
            "double",
            "total_time_spent / visits_count.",
            "no visit ended on the day",
            "seconds",
        ),
        Column("unique_students", "bigint", "Students with an event in the chapter."),
        Column("visits_count", "bigint", "Visits: runs of events of one session in the chapter."),
        Column("avg_scroll_depth", "double", "Mean scroll depth.", "never reported", "0-1"),
        Column(
            "dropoff_rate",
            "double",
            "Share of visits that ended the session without the chapter being completed.",
            "no visit ended on the day",
            "0-1",
            "sum of exit_visits_count of students whose completion_flag is false / visits_count",
        ),
    ),
    keys=("date", "course_id", "chapter_id"),
    partition_by="date",
    checks=(
        between("total_time_spent", 0),
        between("unique_students", 1),
        between("avg_scroll_depth", 0, 1),
        between("dropoff_rate", 0, 1),
    ),
    retention_days=1_600,
    readers=READERS,
)

QUESTION_ATTEMPTS_SUMMARY = Table(
    name="gold.question_attempts_summary",
    doc="How a question was answered on a day.",
    grain="one question of one quiz on one UTC day",
    columns=(
        c.DATE,
        c.QUIZ_ID.with_(doc="Quiz of the question."),
        Column("question_id", "string", "Quiz question."),
        Column("attempts_count", "bigint", "Attempts."),
        Column("correct_count", "bigint", "Attempts answered correctly."),
        Column(
            "avg_time_spent",
            "double",
            "Mean time spent on an attempt.",
            "no attempt reported its time",
            "seconds",
        ),
        Column(
            "difficulty_estimate",
            "double",
            "0 is easy, 1 is hard; with no first attempt that reports a result 0.5.",
            unit="0-1",
            formula="1 - (correct + 1) / (attempts + 2) over the students' first attempts of the "
            "day that report a result (Laplace's rule of succession)",
        ),
    ),
    keys=("date", "quiz_id", "question_id"),
    partition_by="date",
    checks=(between("attempts_count", 1), between("difficulty_estimate", 0, 1)),
    retention_days=1_600,
    readers=READERS,
)

GOLD = (
    STUDENT_DAILY_ACTIVITY,
    STUDENT_CHAPTER_PROGRESS,
    STUDENT_QUESTION_ATTEMPTS,
    CHAPTER_ENGAGEMENT,
    QUESTION_ATTEMPTS_SUMMARY,
)
