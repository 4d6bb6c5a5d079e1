// Summary: collects what Google Benchmark measures and prints each figure beside its limit.
// Thread safety: the main thread.
#pragma once

#include <benchmark/benchmark.h>

#include <map>
#include <string>
#include <vector>

namespace myfs::bench {

// Passes everything on to the console and keeps the rates of all repetitions.
class Collector : public benchmark::ConsoleReporter {
 public:
  Collector() : ConsoleReporter(OO_Tabular) {}
  void ReportRuns(const std::vector<Run>& reports) override;
  // Of the best repetition, items per second: what others do on the machine only slows it down. 0
  // if it did not run.
  double rate(const std::string& name) const;

 private:
  std::map<std::string, std::vector<double>> rates_;
};

// A line of the table. Ratios are of rates, figure / limit, unless `of_times`: then of the time per
// item, where less is better. Without a goal (0) the row is there to compare with.
struct Row {
  std::string title;
  std::string figure;
  std::string limit;
  double goal;
  bool of_times = false;
};

// Returns how many rows miss their goal. Rows that did not run are left out.
int print_summary(const Collector& collector, const std::vector<Row>& rows);

}  // namespace myfs::bench
