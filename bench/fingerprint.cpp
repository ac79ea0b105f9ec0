// SPDX-License-Identifier: MIT
// fingerprint: from SYNs to text.
//
//   synfp read FORMAT   the program, on a capture file of 240,000 SYNs, output into a file
//   p0f -r              Debian's p0f on the same file, log into a file (-o), its other text to /dev/null
//   ... in process      one fingerprint of a record in memory; identify: the label, by our database and
//                       p0f's. hello: a Chrome's, 128 of which differ in the order of their extensions, as
//                       Chrome shuffles them; they are in the cache, as a hello is that was just received.
//                       From received bytes to the view, and from that to each text; CPU time
//
// SYNs of five systems with values of their own, a third IPv6, each of a connection of its own. CPU time is
// user and system time of the child; programs take turns. p0f does more per SYN: it follows the connection
// and asks its database. It keeps its default limits, with which it forgets connections early; larger ones
// make its tables slower. Checked: both print every SYN, and the same signature for each. Figure
// read_synfp_over_p0f: CPU time of p0f over that of synfp read --format p0f, medians.
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>  // shuffle
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <synfp/fingerprint/identify.hpp>
#include <synfp/fingerprint/ja3.hpp>
#include <synfp/fingerprint/ja4.hpp>
#include <synfp/json.hpp>
#include <synfp/tls/hello_parser.hpp>

#include "../tests/support/hello_builder.hpp"
#include "../tests/support/packet_builder.hpp"
#include "report.hpp"

namespace {

using synfp::test::bytes;
using synfp::test::packet_builder;

constexpr unsigned syns = 240'000;
constexpr int rounds = 5;

/// What five systems send, or nearly.
std::vector<packet_builder> systems() {
  std::vector<packet_builder> all(5);
  all[1].ttl = 128;  // Windows
  all[1].window = 65535;
  all[1].options = {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2};
  all[2].id = 0;  // macOS, iOS
  all[2].window = 65535;
  all[2].options = {2, 4, 5, 180, 1, 3, 3, 6, 1, 1, 8, 10, 9, 8, 7, 6, 0, 0, 0, 0, 4, 2, 0, 0};
  all[2].flags = synfp::test::syn | synfp::test::ece | synfp::test::cwr;
  all[3].window = 65535;  // Android on a mobile network
  all[3].options[2] = 5;
  all[3].options[3] = 0x64;
  all[4].ttl = 250;  // a scanner
  all[4].window = 1024;
  all[4].fragment = 0;
  all[4].options = {2, 4, 5, 180};
  return all;
}

/// The frames, from the same seed each time.
std::vector<bytes> make_frames() {
  std::mt19937 random(1);
  const auto below = [&random](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  const auto all = systems();
  std::vector<bytes> frames;
  frames.reserve(syns);
  for (unsigned n = 0; n < syns; ++n) {
    packet_builder p = all[below(5)];
    const auto port = static_cast<std::uint16_t>(1024 + n % 60000);
    const auto high = static_cast<std::uint8_t>(n >> 16), low = static_cast<std::uint8_t>(n >> 8);
    if (below(3) == 0) {
      p.source = synfp::endpoint::v6({0x20, 1, 0xd, 0xb8, 0, 0, 0, high, 0, 0, 0, low, 0, 0, 0, 1}, port);
      p.destination = *synfp::endpoint::parse("[2001:db8:f::1]:443");
    } else {
      p.source = synfp::endpoint::v4(198, 18, static_cast<std::uint8_t>(high * 4 + below(4)), low, port);
      p.destination = synfp::endpoint::v4(192, 0, 2, 1, 443);
    }
    p.ttl = static_cast<std::uint8_t>(p.ttl - below(25));
    p.sequence = static_cast<std::uint32_t>(random());
    if (p.id != 0) p.id = static_cast<std::uint16_t>(1 + below(65535));
    frames.push_back(p.frame());
  }
  return frames;
}

void write_pcap(const std::string& path, const std::vector<bytes>& frames) {
  std::ofstream file(path, std::ios::binary);
  const auto put = [&file](auto... words) {
    const std::uint32_t all[] = {words...};
    file.write(reinterpret_cast<const char*>(all), sizeof all);
  };
  put(0xa1b2c3d4U, 4U << 16 | 2U, 0U, 0U, 65535U, 1U);
  std::uint32_t n = 0;
  for (const bytes& f : frames) {
    const auto length = static_cast<std::uint32_t>(f.size());
    put(1'700'000'000 + n / 20000, n % 20000 * 50, length, length);
    file.write(reinterpret_cast<const char*>(f.data()), static_cast<std::streamsize>(f.size()));
    ++n;
  }
  bench::require(static_cast<bool>(file.flush()), "cannot write " + path);
}

struct cost {
  double cpu, wall;  // seconds
};

/// Runs a program to its end, its stdout into `out`.
cost run(std::vector<std::string> words, const std::string& out) {
  std::vector<char*> argv;
  for (std::string& w : words) argv.push_back(w.data());
  argv.push_back(nullptr);
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  bench::require(child >= 0, "cannot fork");
  if (child == 0) {
    const int to = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (to < 0 || ::dup2(to, STDOUT_FILENO) < 0) ::_exit(126);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  int status = 0;
  rusage used{};
  bench::require(::wait4(child, &status, 0, &used) == child && status == 0, words[0] + " failed");
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return {seconds(used.ru_utime) + seconds(used.ru_stime), wall.count()};
}

/// p0f's signatures, in the order of its log.
std::vector<std::string> p0f_signatures(const std::string& log) {
  std::ifstream file(log);
  std::vector<std::string> all;
  for (std::string line; std::getline(file, line);) {
    if (line.find("] mod=syn|") == std::string::npos) continue;
    all.push_back(line.substr(line.find("|raw_sig=") + 9));
  }
  return all;
}

std::vector<std::string> lines(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::string> all;
  for (std::string line; std::getline(file, line);) all.push_back(line);
  return all;
}

void programs(bench::report& report, const std::string& directory) {
  const std::string file = directory + "/syns.pcap", log = directory + "/log", out = directory + "/out";
  const std::string formats[] = {"p0f", "json", "table", "muonfp", "haproxy", "satori", "ndpi"};
  std::map<std::string, std::vector<double>> cpu, wall;
  const auto count = [&](const std::string& name, const cost& c) {
    cpu[name].push_back(c.cpu);
    wall[name].push_back(c.wall);
  };
  for (int round = 0; round < rounds; ++round) {
    std::filesystem::remove(log);  // p0f appends
    count("p0f -r", run({BENCH_P0F, "-f", BENCH_P0F_DATABASE, "-r", file, "-o", log}, "/dev/null"));
    for (const std::string& f : formats) {
      count("synfp read " + f, run({BENCH_SYNFP, "read", file, "--format", f}, out));
      const auto printed = lines(out);
      bench::require(printed.size() == syns, "synfp read did not print every SYN");
      if (f == "p0f")
        bench::require(printed == p0f_signatures(log), "p0f did not print the same signature for every SYN");
    }
  }
  const double base = bench::median(cpu.at("synfp read p0f"));
  const auto row = [&](const std::string& name) {
    const double c = bench::median(cpu.at(name)), w = bench::median(wall.at(name));
    report.row({{"program", name},
                {"CPU ns per SYN", c / syns * 1e9},
                {"quartile 1", bench::quantile(cpu.at(name), 0.25) / syns * 1e9},
                {"quartile 3", bench::quantile(cpu.at(name), 0.75) / syns * 1e9},
                {"SYNs per second", syns / w},
                {"CPU over p0f format", c / base}});
  };
  row("p0f -r");
  for (const std::string& f : formats) row("synfp read " + f);
  report.figure("read_synfp_over_p0f", bench::median(cpu.at("p0f -r")) / base);
  report.figure("read_p0f_syns_per_second", syns / bench::median(wall.at("synfp read p0f")));
  report.figure("read_json_syns_per_second", syns / bench::median(wall.at("synfp read json")));
}

void in_process(bench::report& report, const std::vector<bytes>& frames) {
  std::vector<synfp::syn_record> records;
  for (std::size_t i = 0; i < 4096; ++i)
    records.push_back(*synfp::syn_record::from_bytes(std::span(frames[i]).subspan(14)));
  namespace fp = synfp::fingerprint;
  std::string text;  // reused, as a program would
  fp::identifier who;
  auto debian = fp::p0f_database::load(BENCH_P0F_DATABASE);
  if (!debian) bench::fail(debian.error().message);
  who.add(*std::move(debian));
  const std::pair<const char*, std::function<void(const synfp::syn_record&)>> formats[] = {
      {"p0f", [](const auto& r) { benchmark::DoNotOptimize(fp::p0f(r)); }},
      {"muonfp", [](const auto& r) { benchmark::DoNotOptimize(fp::muonfp(r)); }},
      {"haproxy", [](const auto& r) { benchmark::DoNotOptimize(fp::haproxy(r)); }},
      {"satori", [](const auto& r) { benchmark::DoNotOptimize(fp::satori(r)); }},
      {"ndpi", [](const auto& r) { benchmark::DoNotOptimize(fp::ndpi(r)); }},
      {"pfos", [](const auto& r) { benchmark::DoNotOptimize(fp::pfos(r)); }},
      {"identify", [&who](const auto& r) { benchmark::DoNotOptimize(who.identify(r)); }},
      {"JSON: syn, all formats",
       [&text](const auto& r) {
         text.clear();
         append_json(text, r);
         append_json_fingerprints(text, r);
         benchmark::DoNotOptimize(text.data());
       }},
  };
  std::map<std::string, std::vector<double>> ns;
  for (int round = 0; round < 15; ++round) {
    for (const auto& [name, format] : formats) {
      const auto start = std::chrono::steady_clock::now();
      for (const auto& r : records) format(r);
      const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
      ns[name].push_back(took.count() / static_cast<double>(records.size()));
    }
  }
  for (const auto& [name, format] : formats) {
    const auto& samples = ns.at(name);
    report.row({{"in process", name},
                {"ns per SYN", bench::median(samples)},
                {"quartile 1", bench::quantile(samples, 0.25)},
                {"quartile 3", bench::quantile(samples, 0.75)}});
    if (std::strchr(name, ' ') != nullptr) continue;
    std::string figure = "fingerprint_";
    report.figure(figure.append(name).append("_ns"), bench::median(samples));
  }
}

/// Of this thread.
double cpu_ns() {
  timespec now{};
  bench::require(::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0, "cannot read the clock");
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// Of Chrome's hello.
void hellos(bench::report& report) {
  namespace fp = synfp::fingerprint;
  namespace tls = synfp::tls;
  std::mt19937 random(2);
  std::vector<bytes> received;
  for (int i = 0; i < 128; ++i) {
    synfp::test::hello_builder chrome;
    std::shuffle(chrome.extensions.begin() + 1, chrome.extensions.end() - 1, random);
    received.push_back(chrome.records());
  }
  std::vector<tls::client_hello> views(received.size());
  for (std::size_t i = 0; i < received.size(); ++i)
    bench::require(views[i].assign(std::span(received[i]).subspan(5)) == tls::refusal::none, "no hello");
  std::vector<std::uint8_t> buffer(tls::hello_parser::max_hello);
  const std::pair<const char*, std::function<void(std::size_t)>> work[] = {
      {"hello: parse",
       [&](std::size_t i) {
         tls::hello_parser parser(buffer);
         benchmark::DoNotOptimize(parser.look(received[i]));
       }},
      {"hello: ja4", [&](std::size_t i) { benchmark::DoNotOptimize(fp::ja4(views[i])); }},
      {"hello: ja4_o", [&](std::size_t i) { benchmark::DoNotOptimize(fp::ja4_o(views[i])); }},
      {"hello: ja4_r", [&](std::size_t i) { benchmark::DoNotOptimize(fp::ja4_r(views[i])); }},
      {"hello: steady", [&](std::size_t i) { benchmark::DoNotOptimize(fp::steady(views[i])); }},
      {"hello: ja3", [&](std::size_t i) { benchmark::DoNotOptimize(fp::ja3(views[i])); }},
  };
  for (const auto& [name, run] : work) {
    std::vector<double> ns;
    for (int round = 0; round < 101; ++round) {
      constexpr int times = 16;
      const double start = cpu_ns();
      for (int n = 0; n < times; ++n) {
        for (std::size_t i = 0; i < received.size(); ++i) run(i);
      }
      ns.push_back((cpu_ns() - start) / static_cast<double>(times * received.size()));
    }
    report.row({{"in process", name},
                {"CPU ns per hello", bench::median(ns)},
                {"quartile 1", bench::quantile(ns, 0.25)},
                {"quartile 3", bench::quantile(ns, 0.75)}});
    report.figure(std::string("hello_").append(name + 7).append("_ns"), bench::median(ns));
  }
}

}  // namespace

int main(int argc, char** argv) {
  bench::require(argc == 2, "usage: fingerprint OUTPUT.json");
  std::string directory = (std::filesystem::temp_directory_path() / "synfp-bench-XXXXXX").string();
  bench::require(::mkdtemp(directory.data()) != nullptr, "cannot make a directory");
  bench::report report;
  const auto frames = make_frames();
  write_pcap(directory + "/syns.pcap", frames);
  programs(report, directory);
  in_process(report, frames);
  hellos(report);
  std::filesystem::remove_all(directory);
  report.write(argv[1]);
}
