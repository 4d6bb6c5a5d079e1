#include "tests/bench/micro/summary.h"

#include <algorithm>
#include <cstdio>

namespace myfs::bench {

namespace {

std::string human_rate(double per_second) {
  char text[32];
  if (per_second >= 1e6) {
    std::snprintf(text, sizeof text, "%.2f M/s", per_second / 1e6);
  } else if (per_second >= 1e4) {
    std::snprintf(text, sizeof text, "%.1f k/s", per_second / 1e3);
  } else {
    std::snprintf(text, sizeof text, "%.0f /s", per_second);
  }
  return text;
}

std::string human_time(double per_second) {
  char text[32];
  double ns = 1e9 / per_second;
  std::snprintf(text, sizeof text, ns >= 10'000 ? "%.1f us" : "%.0f ns",
                ns >= 10'000 ? ns / 1e3 : ns);
  return text;
}

}  // namespace

void Collector::ReportRuns(const std::vector<Run>& reports) {
  ConsoleReporter::ReportRuns(reports);
  for (const Run& run : reports) {
    if (run.run_type != Run::RT_Iteration || run.error_occurred) continue;
    auto found = run.counters.find("items_per_second");
    if (found != run.counters.end()) rates_[run.run_name.str()].push_back(found->second);
  }
}

double Collector::rate(const std::string& name) const {
  auto found = rates_.find(name);
  if (found == rates_.end()) return 0;
  return *std::max_element(found->second.begin(), found->second.end());
}

int print_summary(const Collector& collector, const std::vector<Row>& rows) {
  int missed = 0;
  std::printf("\n%-36s %22s %22s %8s %9s\n", "figure (best repetition)", "myfs", "limit", "ratio",
              "goal");
  for (const Row& row : rows) {
    double figure = collector.rate(row.figure), limit = collector.rate(row.limit);
    if (figure == 0 || limit == 0) continue;
    double ratio = row.of_times ? limit / figure : figure / limit;
    auto both = [](double rate) { return human_rate(rate) + " " + human_time(rate); };
    std::printf("%-36s %22s %22s %7.2fx", row.title.c_str(), both(figure).c_str(),
                both(limit).c_str(), ratio);
    if (row.goal == 0) {
      std::printf("%10s\n", "-");
      continue;
    }
    bool met = row.of_times ? ratio <= row.goal : ratio >= row.goal;
    missed += met ? 0 : 1;
    std::printf(" %s%7.2fx  %s\n", row.of_times ? "<=" : ">=", row.goal, met ? "met" : "MISSED");
  }
  return missed;
}

}  // namespace myfs::bench
