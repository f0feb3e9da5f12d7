"""Counts weir's Parquet by day, level and registered domain, as it is in the lake.

    spark-submit counts.py LAKE [--top 20]
"""
import argparse

from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def counts(rows):
    """Rows, clients and highest score by day, level and registered domain. A lake that
    score_lake.py has scored counts by that score."""
    level, score = ("weir_level", "weir_score") if "weir_level" in rows.columns else ("level", "score")
    return rows.groupBy(F.to_date("time").alias("day"), F.coalesce(level, F.lit("unscored")).alias("level"), "registered_domain").agg(
        F.count("*").alias("rows"), F.countDistinct("client").alias("clients"), F.max(score).alias("score"))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("lake")
    p.add_argument("--top", type=int, default=20)
    args = p.parse_args()
    spark = SparkSession.builder.appName("weir counts").config("spark.sql.session.timeZone", "UTC").getOrCreate()
    by = counts(spark.read.parquet(args.lake)).cache()
    by.groupBy("day", "level").agg(F.sum("rows").alias("rows"), F.count("*").alias("domains")).orderBy("day", "level").show(1000, truncate=False)
    by.where("level in ('high', 'medium', 'low')").orderBy(F.desc("score"), F.desc("clients")).show(args.top, truncate=False)


if __name__ == "__main__":
    main()
