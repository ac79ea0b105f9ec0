// SPDX-License-Identifier: MIT
// The clients of a script: what they ask, how they behave, and what they must get for it.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "choices.hpp"
#include "kernel.hpp"

namespace synfp::test::scripted {

/// `size` bytes that no other `id` has.
inline std::string pattern(unsigned id, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; text.size() < size; ++i) text += std::to_string(id) + ':' + std::to_string(i) + ' ';
  text.resize(size);
  return text;
}

/// The body of a stream of events.
inline constexpr unsigned events_in_a_stream = 3;
inline std::string event_text(unsigned id, unsigned i) { return "event " + std::to_string(id * 10 + i); }

/// What a handler that reads a body in pieces says about it.
inline std::string summary(std::string_view body) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : body) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return std::to_string(body.size()) + ' ' + std::to_string(hash);
}

/// A response, as a client that believes nothing reads it.
struct answer {
  enum class state : std::uint8_t { incomplete, whole, invalid };
  state read = state::incomplete;
  int status = 0;
  bool closes = false;
  std::size_t size = 0;  // of all of it
  std::string body;
};

inline answer read_answer(std::string_view text, bool head) {
  answer a;
  const auto invalid = [&a] {
    a.read = answer::state::invalid;
    return a;
  };
  constexpr std::string_view version = "HTTP/1.1 ";
  if (text.substr(0, version.size()) != version.substr(0, text.size())) return invalid();
  const std::size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return a;
  std::string_view lines = text.substr(0, end + 2);
  text.remove_prefix(end + 4);
  if (std::from_chars(lines.data() + 9, lines.data() + 12, a.status).ptr != lines.data() + 12)
    return invalid();
  int lengths = 0;
  int codings = 0;
  std::size_t length = 0;
  lines.remove_prefix(lines.find("\r\n") + 2);
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(": ");
    if (colon == line.npos || colon == 0) return invalid();
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = line.substr(colon + 2);
    if (name == "Content-Length") {
      ++lengths;
      if (std::from_chars(value.data(), value.data() + value.size(), length).ptr !=
          value.data() + value.size())
        return invalid();
    } else if (name == "Transfer-Encoding") {
      if (value != "chunked") return invalid();
      ++codings;
    } else if (name == "Connection") {
      a.closes = value == "close";
    }
  }
  a.size = end + 4;
  if (a.status == 100) {
    if (lengths + codings != 0) return invalid();
  } else if (lengths + codings != 1) {
    return invalid();
  } else if (!head && codings == 0) {
    if (text.size() < length) return a;
    a.body = text.substr(0, length);
    a.size += length;
  } else if (!head) {
    while (true) {
      const std::size_t line = text.find("\r\n");
      if (line == text.npos) return a;
      std::size_t chunk = 0;
      if (std::from_chars(text.data(), text.data() + line, chunk, 16).ptr != text.data() + line)
        return invalid();
      if (text.size() < line + 2 + chunk + 2) return a;
      if (text.substr(line + 2 + chunk, 2) != "\r\n") return invalid();
      a.body += text.substr(line + 2, chunk);
      a.size += line + 2 + chunk + 2;
      text.remove_prefix(line + 2 + chunk + 2);
      if (chunk == 0) break;
    }
  }
  a.read = answer::state::whole;
  return a;
}

/// A request and the answer to it.
struct question {
  static constexpr const char* any = "*";

  std::string text;
  std::string body;  // which waits for "100 Continue"
  int status = 200;
  std::string answer;
  bool head = false;
  bool closes = false;
  bool ends_at_stop = false;
};

/// `id` is in the question and in its answer.
inline question make_question(choices& choose, unsigned id, bool half_closes) {
  constexpr std::size_t sizes[] = {0, 1, 17, 120, 700, 3'000, 20'000};
  question q;
  const std::size_t size = choose.one_of(sizes);
  q.answer = pattern(id, size);
  const auto head = [&](const char* method, const char* path) {
    q.text = std::string(method) + ' ' + path + "?id=" + std::to_string(id) + "&n=" + std::to_string(size) +
             " HTTP/1.1\r\nHost: a\r\n";
    if (choose.once_in(4)) q.text += "X-Long: " + pattern(id, 1 + choose.below(600)) + "\r\n";
    if (choose.once_in(8)) {
      q.closes = true;
      q.text += "Connection: close\r\n";
    }
  };
  const auto get = [&](const char* path) {
    head("GET", path);
    q.text += "\r\n";
  };
  const auto post = [&](const char* path) {
    head("POST", path);
    const std::string& body = q.answer;
    std::string framed = body;
    if (choose.once_in(2)) {
      q.text += "Transfer-Encoding: chunked\r\n";
      framed.clear();
      for (std::size_t at = 0; at != body.size();) {
        const std::size_t n = std::min<std::size_t>(100 + choose.below(2000), body.size() - at);
        char digits[16];
        char* const end = std::to_chars(digits, digits + sizeof digits, n, 16).ptr;
        framed.append(digits, end).append("\r\n").append(body, at, n).append("\r\n");
        at += n;
      }
      framed += "0\r\n\r\n";
    } else {
      q.text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    }
    if (!body.empty() && choose.once_in(6)) {
      q.text += "Expect: 100-continue\r\n\r\n";
      q.body = std::move(framed);
    } else {
      q.text += "\r\n" + framed;
    }
  };
  const auto fails = [&](int status) {
    q.status = status;
    q.answer = question::any;
    q.closes = q.closes || status != 404;
  };
  switch (choose.below(13)) {
    case 1: get("/later"); break;
    case 2: get("/chunks"); break;
    case 3: get("/length"); break;
    case 4: post("/echo"); break;
    case 5:
      post("/pieces");
      q.answer = summary(q.answer);
      break;
    case 6:
      head("HEAD", "/text");
      q.text += "\r\n";
      q.head = true;
      q.answer.clear();
      break;
    case 7:
      get("/missing");
      fails(404);
      break;
    case 8:
      get("/throws");
      fails(500);
      break;
    case 9: get("/waits"); break;
    case 10:
      // Its end is that of the client's side.
      if (half_closes) {
        get("/text");
      } else {
        get("/events");
        q.answer.clear();
        q.ends_at_stop = true;
        for (unsigned i = 0; i != events_in_a_stream; ++i) q.answer += "data: " + event_text(id, i) + "\n\n";
      }
      break;
    case 11:
      q.text = "GET / HTTP/1.1\r\n\r\n";  // without Host
      fails(400);
      break;
    default: get("/text"); break;
  }
  return q;
}

/// What may excuse that a connection ends early, besides what its client does.
struct circumstances {
  bool memory_failed = false;  // at some time,
  bool memory_fails = false;   // and it still may
  bool stopping = false;
  nanoseconds stop_deadline = never;
  bool descriptors_short = false;
  bool output_short = false;
  bool bodies_short = false;
};

class client {
 public:
  enum class habit : std::uint8_t {
    strict,       // honest, and never slow
    honest,       // reads everything, ends when it has all answers
    half_closes,  // sends FIN behind its last request
    aborts,       // resets at some point
    reads_not,    // from some point on
    sends_not,    // from some point on, perhaps in the middle of a request
  };

  client(kernel& k, unsigned number, habit how, unsigned questions, nanoseconds start)
      : kernel_(&k), number_(number), habit_(how), wake_(start), since_(start) {
    choices& choose = k.choose;
    pipelines_ = choose.once_in(3);
    for (unsigned i = 0; i != questions; ++i)
      questions_.push_back(make_question(choose, number * 100 + i, how == habit::half_closes));
    std::size_t all = 0;
    for (std::size_t i = 0; i != questions_.size(); ++i) {
      all += questions_[i].text.size() + questions_[i].body.size();
      // Behind one that ends the connection nothing is asked.
      if (questions_[i].closes) questions_.resize(i + 1);
    }
    if (how == habit::aborts) acts_left_ = 1 + choose.below(40);
    if (how == habit::reads_not) reads_left_ = choose.below(2000);
    if (how == habit::sends_not) sends_left_ = choose.below(static_cast<unsigned>(all + 1));
    slow_ = how != habit::strict && choose.once_in(8);
    piece_ = choose.once_in(3) ? 1 + choose.below(60) : 100'000;
    gulp_ = !slow_ && choose.once_in(4) ? 100 + choose.below(500) : 100'000;
  }

  bool finished() const { return finished_; }
  bool honest() const { return habit_ <= habit::half_closes; }
  nanoseconds wake() const { return finished_ ? never : wake_ > kernel_->now ? wake_ : never; }

  bool can_act() const {
    return !finished_ && kernel_->now >= wake_ &&
           (tcp_ == nullptr || can_send() || can_read() || sees_end() || is_done());
  }

  void act(const circumstances& now) {
    choices& choose = kernel_->choose;
    since_ = kernel_->now;
    if (tcp_ == nullptr) {
      connect();
      return;
    }
    if (habit_ == habit::aborts && --acts_left_ == 0) {
      kernel_->say("client %u resets", number_);
      tcp_->client_reset = true;
      finished_ = true;
      return;
    }
    if (pauses_left_ != 0 && choose.once_in(6)) {
      --pauses_left_;
      wake_ = kernel_->now + (1 + choose.below(slow_ ? 2000 : 20)) * millisecond;
      return;
    }
    if (can_send() && (!can_read() || choose.below(2) == 0)) {
      send();
    } else if (can_read()) {
      read(now);
    } else if (sees_end()) {
      end(now);
    } else {
      leave(now);
    }
  }

  /// Nobody who waits for the server waits for long.
  void check(const circumstances& now) {
    if (finished_ || kernel_->now < wake_ || can_act() || tcp_ == nullptr) return;
    if (!tcp_->accepted && !kernel_->listening) {
      finished_ = true;
      return;
    }
    if (!tcp_->accepted && kernel_->is_full()) since_ = kernel_->now;
    if (now.memory_fails) since_ = kernel_->now;
    const nanoseconds patience = honest() ? 6 * second : 150 * second;
    if (kernel_->now - since_ <= patience) return;
    kernel_->fail("client " + std::to_string(number_) + " waits for answer " + std::to_string(answered_) +
                  (tcp_->accepted ? "" : ", not accepted"));
    finished_ = true;
  }

 private:
  static constexpr std::size_t window = 30'000;

  void connect() {
    if (!kernel_->listening) {
      finished_ = true;
      return;
    }
    kernel_->say("client %u connects", number_);
    constexpr std::size_t rooms[] = {100'000, 300, 5'000};
    tcp_ = std::make_shared<connection>();
    tcp_->client_port = static_cast<std::uint16_t>(1000 + number_);
    tcp_->room = kernel_->choose.one_of(rooms);
    kernel_->backlog.push_back(tcp_);
    ask_more();
  }
  // The next one, or all of them at once.
  void ask_more() {
    while (asked_ != questions_.size() && (pipelines_ || asked_ == answered_)) {
      out_ += questions_[asked_].text;
      if (pipelines_) out_ += questions_[asked_].body;
      ++asked_;
    }
  }

  bool can_send() const {
    return !out_.empty() && sends_left_ != 0 && tcp_->to_server.size() < window && !tcp_->server_closed &&
           !tcp_->broken && !closing_seen_;
  }
  bool can_read() const { return reads_left_ != 0 && !tcp_->to_client.empty(); }
  bool sees_end() const {
    if (reads_left_ == 0) return tcp_->server_closed;
    return tcp_->to_client.empty() && (tcp_->server_ended || tcp_->server_reset || tcp_->broken);
  }
  bool is_done() const {
    if (closing_seen_) return true;
    if (habit_ == habit::half_closes && !half_closed_ && asked_ == questions_.size() && out_.empty() &&
        (answered_ == asked_ || questions_[asked_ - 1].body.empty() || pipelines_))
      return true;
    return habit_ <= habit::honest && answered_ == questions_.size();
  }

  void send() {
    std::size_t n = std::min<std::size_t>(
        {out_.size(), sends_left_, 1 + kernel_->choose.below(static_cast<unsigned>(piece_))});
    kernel_->say("client %u sends %zu", number_, n);
    tcp_->send(std::string_view(out_).substr(0, n));
    out_.erase(0, n);
    sends_left_ -= n;
  }
  void read(const circumstances& now) {
    const std::size_t half = gulp_ / 2;
    const std::size_t n = std::min<std::size_t>(
        {tcp_->to_client.size(), reads_left_, half + kernel_->choose.below(static_cast<unsigned>(half))});
    kernel_->say("client %u reads %zu", number_, n);
    in_.append(tcp_->to_client, 0, n);
    tcp_->to_client.erase(0, n);
    reads_left_ -= n;
    while (take_answer(now)) {
    }
  }

  bool take_answer(const circumstances& now) {
    if (in_.empty() || finished_ || (closing_seen_ && !honest())) return false;
    if (answered_ == asked_) {
      // It may say that it has waited for long enough.
      const answer a = read_answer(in_, false);
      if (a.read == answer::state::incomplete) return false;
      if (a.read == answer::state::invalid || (a.status != 408 && a.status != 503) || honest())
        return wrong("an answer that nobody asked for");
      closing_seen_ = true;
      in_.clear();
      return false;
    }
    const question& q = questions_[answered_];
    const answer a = read_answer(in_, q.head);
    if (a.read == answer::state::incomplete) return false;
    if (a.read == answer::state::invalid) return wrong("an answer that is not framed");
    in_.erase(0, a.size);
    if (a.status == 100) {
      if (q.body.empty() || continued_) return wrong("100 Continue to who did not ask for it");
      continued_ = true;
      if (!pipelines_) out_ += q.body;
      return true;
    }
    const bool expected =
        a.status == q.status && (q.answer == question::any || a.body == q.answer ||
                                 (q.ends_at_stop && now.stopping && q.answer.starts_with(a.body)));
    if (expected) {
      if (a.closes != q.closes && !now.stopping) return wrong("an answer that closes, or does not");
    } else {
      const bool excused = (now.memory_failed && (a.status == 500 || a.status == 503)) ||
                           (now.bodies_short && a.status == 503) ||
                           (a.status == 408 && (habit_ == habit::sends_not || slow_));
      if (!excused || !a.closes)
        return wrong(("status " + std::to_string(a.status) + " or another body").c_str());
    }
    kernel_->say("client %u has answer %zu: %d", number_, answered_, a.status);
    ++answered_;
    continued_ = false;
    closing_seen_ = a.closes;
    if (a.closes) return false;
    ask_more();
    return true;
  }
  bool wrong(const char* what) {
    kernel_->fail("client " + std::to_string(number_) + " gets " + what + ", as answer " +
                  std::to_string(answered_) + " to " +
                  (answered_ < questions_.size() ? questions_[answered_].text.substr(0, 40) : "nothing") +
                  ": " + in_.substr(0, 200));
    finished_ = true;
    return false;
  }

  /// The connection has ended.
  void end(const circumstances& now) {
    kernel_->say("client %u sees the end", number_);
    finished_ = true;
    tcp_->client_ended = true;
    if (!in_.empty() && !closing_seen_) {
      // Near the limit of descriptors a client that has to be waited for makes room for others.
      const bool cut = (now.stopping && kernel_->now >= now.stop_deadline) || now.descriptors_short;
      if (!tcp_->broken && honest() && !slow_ && !now.memory_failed && !now.output_short && !cut)
        fail_early("half an answer");
      return;
    }
    if (closing_seen_ || answered_ == questions_.size()) return;
    const bool excused = tcp_->broken || !honest() || !tcp_->accepted || now.memory_failed || now.stopping ||
                         now.descriptors_short || now.output_short || slow_;
    if (!excused) fail_early("no answer");
  }
  void fail_early(const char* what) {
    kernel_->fail("client " + std::to_string(number_) + " gets " + what + " to question " +
                  std::to_string(answered_) + ": " + questions_[answered_].text.substr(0, 60));
  }

  /// It has got all that it wants, or has asked for all.
  void leave(const circumstances&) {
    kernel_->say("client %u ends", number_);
    tcp_->client_ended = true;
    if (habit_ == habit::half_closes && !closing_seen_ && !half_closed_) {
      half_closed_ = true;
      return;
    }
    finished_ = true;
  }

  kernel* kernel_;
  unsigned number_;
  habit habit_;
  bool pipelines_ = false;
  bool slow_ = false;
  bool finished_ = false;
  bool half_closed_ = false;
  bool closing_seen_ = false;
  bool continued_ = false;
  std::size_t piece_ = 0;  // the most that it sends at once
  std::size_t gulp_ = 0;   // and reads
  std::size_t pauses_left_ = 200;
  std::size_t acts_left_ = 0;
  std::size_t reads_left_ = SIZE_MAX;
  std::size_t sends_left_ = SIZE_MAX;
  nanoseconds wake_;
  nanoseconds since_;  // it has not done anything
  std::vector<question> questions_;
  std::size_t asked_ = 0;
  std::size_t answered_ = 0;
  std::string out_;
  std::string in_;
  std::shared_ptr<connection> tcp_;
};

}  // namespace synfp::test::scripted
