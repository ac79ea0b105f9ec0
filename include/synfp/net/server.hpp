// SPDX-License-Identifier: MIT
// A server of N threads: one ring and one listener per address on each, one source of SYN records for all.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>  // strerror
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>  // what std::thread throws
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <synfp/capture/source.hpp>
#include <synfp/endpoint.hpp>
#include <synfp/io/poll_fd.hpp>
#include <synfp/io/ring.hpp>
#include <synfp/io/task.hpp>
#include <synfp/io/timer.hpp>
#include <synfp/net/batch.hpp>
#include <synfp/net/detail/activity.hpp>
#include <synfp/net/detail/descriptors.hpp>
#include <synfp/net/detail/handover.hpp>
#include <synfp/net/detail/watchdog.hpp>
#include <synfp/net/listen_group.hpp>
#include <synfp/net/listener.hpp>
#include <synfp/net/listening_sockets.hpp>
#include <synfp/service/notify.hpp>
#include <synfp/setup_error.hpp>

SYNFP_BEGIN_NAMESPACE
namespace net {

struct server_options {
  unsigned threads = 1;
  int backlog = listen_group::default_backlog;
  io::ring_options ring{};
  /// See listener_options: for services whose clients speak first, as those of HTTP do.
  std::chrono::seconds defer_accept{0};
  /// What an operator should know while it is not an error: open() waits for a port; descriptors run short,
  /// at most once a minute; what a stop waits for, every second. From any of the server's threads, one call
  /// at a time; it must not block.
  net::notice notice{};
  /// Gets each exception that leaves a spawned coroutine, std::bad_alloc of one that could not be made
  /// included. It is called on the threads of the server, several at a time, and must not wait. What it
  /// throws ends the server as an exception of the accepting task does. Without it they are only counted: see
  /// io::escaped_exceptions().
  std::function<void(std::exception_ptr)> on_error{};
  /// This server is the service that a manager started (systemd). Sockets that the manager hands in
  /// (LISTEN_FDS) are what it listens on, in place of the addresses; connections wait in them while the
  /// service restarts. With Type=notify the manager is told READY=1 when every thread accepts, STOPPING=1,
  /// what a stop waits for (STATUS=), and, with WatchdogSec=, WATCHDOG=1 for as long as the ring of every
  /// thread turns. Without a manager nothing happens. See service::take_inherited(), service::notify().
  bool managed = false;
  /// Where a process hands its listening sockets over to the one that replaces it: a path of a Unix socket,
  /// in a directory that only the service's user may write to. The next process asks there, and this one
  /// stops, with a grace of 10 s, as soon as that one accepts: no connection is refused or lost. Empty:
  /// nowhere.
  std::string handover{};
};

class stop_on_signal;

/// Binds and attaches in its constructor, serves in run(). The source must outlive it. Movable before run()
/// only.
class server {
 public:
#if defined(__cpp_exceptions)
  /// `address`: as endpoint::parse() takes it, "[::]:8080" is both families. Throws setup_failure.
  template <capture::source Source>
  server(std::string_view address, Source& source, const server_options& options = {})
      : server(value_or_throw(open(std::vector{value_or_throw(parse(address))}, source, options))) {}

  /// The same for several addresses: `server{{"127.0.0.1:8080", "[::1]:8080"}, probe}`.
  template <capture::source Source>
  server(std::initializer_list<const char*> addresses, Source& source, const server_options& options = {})
      : server(value_or_throw(open(parse_all(addresses), source, options))) {}

  /// try_run() that throws setup_failure.
  template <class Handler>
  void run(Handler handler) {
    value_or_throw(try_run(std::move(handler), [] {}));
  }
#endif

  /// The endpoint that `address` says, or what is wrong with it.
  static setup_result<endpoint> parse(std::string_view address) {
    if (const auto e = endpoint::parse(address)) return *e;
    return setup_error{
        errc::invalid, 0,
        "'" + std::string(address) + "' is not an address and a port; write 127.0.0.1:8080 or [::]:8080"};
  }

  /// Binds and attaches, or takes over sockets as `options` say. Raises the process's soft limit of open
  /// files to the hard one, which children inherit.
  template <capture::source Source>
  static setup_result<server> open(const std::vector<endpoint>& addresses, Source& source,
                                   const server_options& options = {}) {
    if (addresses.empty() || options.threads == 0)
      return setup_error{errc::invalid, 0, "a server needs at least one address and one thread"};
    detail::raise_descriptor_limit();
    server s;
    s.options_ = options;
    s.lookups_ = std::make_shared<lookup_handler<Source>>(source);
    std::vector<endpoint> where = addresses;
    listening_sockets given;
    if (options.managed) {
      auto handed_in = listening_sockets::from_manager();
      if (!handed_in) return std::move(handed_in).error();
      given = *std::move(handed_in);
      if (!given.empty()) where = given.addresses();
      if (where != addresses && options.notice)
        options.notice("the service manager hands in " + joined(where) + ": these are served, not " +
                       joined(addresses));
    }
    if (!options.handover.empty()) {
      auto next = detail::successor_socket::open(options.handover);
      if (!next) return std::move(next).error();
      s.successor_ = *std::move(next);
      if (given.empty()) {
        auto before = detail::ask_predecessor(options.handover);
        if (!before) return std::move(before).error();
        s.predecessor_ = *std::move(before);
        if (s.predecessor_) given = std::move(s.predecessor_->sockets);
      }
    }
    for (const endpoint& address : where) {
      std::vector<int> taken = given.take(address);
      auto group = taken.empty()
                       ? listen_group::open(address, options.threads, source, options.backlog, options.notice)
                       : listen_group::adopt(address, std::move(taken), options.threads, source);
      if (!group) return std::move(group).error();
      s.groups_.push_back(*std::move(group));
    }
    if (s.successor_) {
      if (auto kept = s.keep_for_successor(); !kept) return std::move(kept).error();
      s.shared_->attach_again = [&source](int fd) { return static_cast<bool>(source.prepare(fd, true)); };
    }
    return s;
  }

  /// `work(ring)` makes a task<> beside the connections: once for the server, on its first thread, when that
  /// starts to serve. Call it before run(); the object is kept. The task may end at any time and must end
  /// when the ring stops, see io::sleep(), since a stop waits for it until its deadline. What it throws stops
  /// the server, as what the accepting task throws does.
  template <class Work>
  void background(Work work) {
    static_assert(std::is_invocable_r_v<io::task<>, Work&, io::ring&>,
                  "the work of background() must be callable as `work(io::ring&)` and return io::task<>");
    background_.push_back(std::make_unique<background_function<Work>>(std::move(work)));
  }

  /// Serves until stop(); of server_options::threads the calling one is the first. `handler(listener)` makes
  /// the task<> that accepts on that listener; it is called once per thread and address (and for each
  /// socket more that was taken over), on the thread, and its task must end when accept() fails, not before:
  /// a server that accepts nobody any more has failed. `started` is called once on this thread, when every
  /// thread is ready. Returns when every thread has ended; may be called once. An exception of a handler, of
  /// its task, of `started`, of server_options::on_error or of what was posted to a ring stops the server at
  /// once and is rethrown here; so do a listening socket that fails and a task that ends too early, with a
  /// setup_error.
  template <class Handler, class Started>
  setup_result<void> try_run(Handler handler, Started started) {
    static_assert(std::is_invocable_r_v<io::task<>, Handler&, listener&>,
                  "the handler of run() must be callable as `handler(net::listener&)` and return io::task<>");
    std::vector<std::thread> threads;
    threads.reserve(options_.threads);
    {
      const std::lock_guard lock(shared_->mutex);  // somebody may call stop()
      shared_->rings.reserve(options_.threads);
      shared_->activities.reserve(options_.threads);
    }
    shared_->unready = options_.threads;  // before there is another thread
    shared_->beats.emplace(options_.threads,
                           options_.managed ? service::watchdog_interval() : std::chrono::microseconds(0));
    // Nothing from here to the last join() may throw: destroying a running std::thread ends the program.
    const auto work = [&](unsigned index) {
      bool ready = false;
#if defined(__cpp_exceptions)
      try {
#endif
        auto done = serve_thread(index, handler, [&] {
          ready = true;
          wait_for_all(index, started);
        });
        if (!done) end_with(std::move(done).error());
#if defined(__cpp_exceptions)
      } catch (...) {
        end_with(std::current_exception());
      }
#endif
      if (!ready) thread_is_ready();
    };
    int refused = 0;
#if defined(__cpp_exceptions)
    try {
#endif
      for (unsigned i = 1; i < options_.threads; ++i) threads.emplace_back(work, i);
#if defined(__cpp_exceptions)
    } catch (const std::system_error& e) {
      refused = e.code().value();
      stop(std::chrono::nanoseconds::zero());
    } catch (...) {  // std::bad_alloc
      end_with(std::current_exception());
    }
    for (std::size_t i = threads.size() + 1; i < options_.threads; ++i) thread_is_ready();
#endif
    work(0);
    for (std::thread& t : threads) t.join();
#if defined(__cpp_exceptions)
    if (shared_->escaped) std::rethrow_exception(shared_->escaped);
#endif
    if (refused != 0)
      return setup_error{errc::system, refused,
                         "cannot start a thread; use fewer, or raise the limit of processes or of memory"};
    return std::move(shared_->outcome);
  }

  /// Stops accepting, lets what is in flight finish for up to `grace`, ends run(). From any thread; not from
  /// a signal handler.
  void stop(std::chrono::nanoseconds grace = std::chrono::seconds(10)) noexcept {
    const std::lock_guard lock(shared_->mutex);
    if (!shared_->stopping && options_.managed) service::notify("STOPPING=1");
    const auto deadline = io::ring::after(io::ring::clock::now(), grace);
    if (!shared_->stopping || deadline < shared_->deadline) shared_->deadline = deadline;
    shared_->stopping = true;
    shared_->grace = grace;
    for (const auto& [first, fd] : shared_->kept) ::close(fd);  // the last one closes the socket
    shared_->kept.clear();
    for (io::ring* ring : shared_->rings) ring->post_stop(grace);
  }

  /// The addresses with the ports that were bound.
  std::vector<endpoint> local() const {
    std::vector<endpoint> all;
    for (const listen_group& group : groups_) all.push_back(group.local());
    return all;
  }

 private:
  friend stop_on_signal;

  struct shared {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<io::ring*> rings;
    std::vector<const detail::activity_counts*> activities;  // of each of them
    std::chrono::nanoseconds grace{};
    io::ring::clock::time_point deadline{};
    io::ring::clock::time_point next_report{};
    unsigned unready = 0;
    bool stopping = false;
    std::mutex notice_mutex;
    std::chrono::steady_clock::time_point next_notice{};
    setup_result<void> outcome;  // the first of these two is what try_run() ends with
    std::exception_ptr escaped;
    std::optional<detail::watchdog> beats;
    // Copies of every listening socket, for the next process; `first` of its group. Until stop().
    struct kept_socket {
      bool first;
      int fd;
    };
    std::vector<kept_socket> kept;
    std::function<bool(int)> attach_again;

    shared() = default;
    shared(const shared&) = delete;
    shared& operator=(const shared&) = delete;
    ~shared() {
      for (const auto& [first, fd] : kept) ::close(fd);
    }
  };

  server() : shared_(std::make_unique<shared>()) {}

#if defined(__cpp_exceptions)
  static std::vector<endpoint> parse_all(std::initializer_list<const char*> addresses) {
    std::vector<endpoint> all;
    for (const char* address : addresses) all.push_back(value_or_throw(parse(address)));
    return all;
  }
#endif

  // Both end every thread, now. The first reason is kept.
  void end_with(setup_error why) noexcept {
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->outcome && !shared_->escaped) shared_->outcome = std::move(why);
    }
    stop(std::chrono::nanoseconds::zero());
  }
  void end_with(std::exception_ptr why) noexcept {
    {
      const std::lock_guard lock(shared_->mutex);
      if (shared_->outcome && !shared_->escaped) shared_->escaped = std::move(why);
    }
    stop(std::chrono::nanoseconds::zero());
  }

  /// The task of one listener. When it ends, nobody accepts there any more, and the server must not pretend.
  io::task<> watch(io::task<> acceptor, listener& from) {
#if defined(__cpp_exceptions)
    try {
#endif
      co_await std::move(acceptor);
      if (from.failure() != 0) {
        end_with({errc::system, from.failure(),
                  "the socket that listens on " + std::string(from.local().text().view()) +
                      " failed: " + std::strerror(from.failure())});
      } else if (!from.stopped() && !from.ring().stopping()) {
        end_with({errc::invalid, 0,
                  "the task that accepts on " + std::string(from.local().text().view()) +
                      " ended; it must go on until accept() fails"});
      }
#if defined(__cpp_exceptions)
    } catch (...) {
      end_with(std::current_exception());
    }
#endif
  }

  // Each open socket once: threads may share one.
  setup_result<void> keep_for_successor() {
    for (const listen_group& group : groups_) {
      bool first = true;
      for (const int fd : group.sockets()) {
        bool known = false;
        for (const auto& before : shared_->kept) known = known || detail::same_socket(before.fd, fd);
        if (known) continue;
        shared_->kept.reserve(shared_->kept.size() + 1);  // before there is a descriptor to lose
        const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
        if (copy < 0)
          return setup_error{errc::system, errno, "cannot keep the listening sockets for the next process"};
        shared_->kept.push_back({std::exchange(first, false), copy});
      }
    }
    if (shared_->kept.size() > synfp::detail::most_passed)
      return setup_error{errc::invalid, 0,
                         "at most " + std::to_string(synfp::detail::most_passed) +
                             " listening sockets can be handed over; use fewer threads or addresses"};
    return {};
  }

  // Gives the sockets to each process that asks. Ends with the ring.
  io::task<> await_successors(io::ring& ring) {
    detail::cancel_at_stop wait(ring, successor_.fd());
    while (!ring.stopping()) {
      const auto ready = co_await io::poll_fd(ring, successor_.fd(), POLLIN);
      if (!ready) co_return;
      const int fd = ::accept4(successor_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd < 0) {  // descriptors are short
        const auto slept = co_await io::sleep(ring, std::chrono::milliseconds(100));
        if (!slept) co_return;
        continue;
      }
      io::spawn(hand_over(ring, detail::owned_fd(fd)));
    }
  }

  io::task<> hand_over(io::ring& ring, detail::owned_fd to) {
    detail::cancel_at_stop wait(ring, to.get());
    if (ring.stopping() || !detail::is_trusted(to.get())) co_return;
    {
      std::vector<int> sockets;
      const std::lock_guard lock(shared_->mutex);
      for (const auto& each : shared_->kept) sockets.push_back(each.fd);
      if (sockets.empty() || !detail::send_sockets(to.get(), sockets)) co_return;
    }
    const auto answered = co_await io::poll_fd(ring, to.get(), POLLIN);
    if (!answered || ring.stopping()) co_return;
    std::array<char, detail::handover_ready.size()> text{};
    const ssize_t n = ::recv(to.get(), text.data(), text.size(), MSG_DONTWAIT);
    if (n > 0 && std::string_view(text.data(), static_cast<std::size_t>(n)) == detail::handover_ready) {
      if (options_.notice) options_.notice("the next process serves; this one stops");
      stop();
      co_return;
    }
    // It failed. A probe of its own may be attached to our sockets.
    const std::lock_guard lock(shared_->mutex);
    for (const auto& each : shared_->kept) {
      if (each.first) (void)shared_->attach_again(each.fd);
    }
  }

  struct background_work {
    virtual ~background_work() = default;
    virtual io::task<> start(io::ring& ring) = 0;
  };
  template <class Work>
  struct background_function final : background_work {
    explicit background_function(Work w) : work(std::move(w)) {}
    io::task<> start(io::ring& ring) override { return work(ring); }
    Work work;
  };

  io::task<> run_in_background(io::task<> work) {
#if defined(__cpp_exceptions)
    try {
#endif
      co_await std::move(work);
#if defined(__cpp_exceptions)
    } catch (...) {
      end_with(std::current_exception());
    }
#endif
  }

  /// Brings what escapes on this thread to on_error. The thread may be the caller's, with a handler of its
  /// own.
  class error_path {
   public:
    explicit error_path(server& s) noexcept : set_(s.options_.on_error != nullptr) {
      if (set_) before_ = io::on_escape(&escaped, &s);
    }
    error_path(const error_path&) = delete;
    error_path& operator=(const error_path&) = delete;
    ~error_path() {
      if (set_) io::on_escape(before_.first, before_.second);
    }

    static void escaped(void* self, std::exception_ptr why) noexcept {
      auto& s = *static_cast<server*>(self);
#if defined(__cpp_exceptions)
      try {
#endif
        s.options_.on_error(std::move(why));
#if defined(__cpp_exceptions)
      } catch (...) {
        s.end_with(std::current_exception());
      }
#endif
    }

   private:
    std::pair<io::escape_handler, void*> before_{};
    bool set_;
  };

  static std::string joined(const std::vector<endpoint>& addresses) {
    std::string text;
    for (const endpoint& each : addresses) text.append(text.empty() ? "" : ", ").append(each.text().view());
    return text;
  }

  // From the timers of each thread, so that one which hangs does not keep the others from it.
  void report_stop() {
    if (!options_.notice && !options_.managed) return;
    std::array<std::size_t, 4> counts{};
    std::size_t all = 0;
    const auto now = io::ring::clock::now();
    auto deadline = now;
    {
      const std::lock_guard lock(shared_->mutex);
      if (now < shared_->next_report) return;
      shared_->next_report = now + stop_report::period - std::chrono::milliseconds(100);
      deadline = shared_->deadline;
      for (const auto* each : shared_->activities) {
        for (std::size_t i = 0; i != counts.size(); ++i)
          counts[i] += (*each)[i].load(std::memory_order_relaxed);
      }
    }
    for (const std::size_t n : counts) all += n;
    constexpr const char* names[] = {"waiting for a request or closing", "reading a request",
                                     "reading a body", "answering"};
    std::string text =
        "stopping: waiting for " + std::to_string(all) + (all == 1 ? " connection" : " connections");
    const char* before = ": ";
    for (std::size_t i = counts.size(); i-- != 0;) {
      if (counts[i] == 0) continue;
      text += before + std::to_string(counts[i]) + ' ' + names[i];
      before = ", ";
    }
    if (all == 0) text += ", and for other tasks";
    const auto left = std::chrono::ceil<std::chrono::seconds>(deadline - now).count();
    text += "; at most " + std::to_string(left > 0 ? left : 0) + " s more";
    if (options_.managed) service::notify("STATUS=" + text);
    if (!options_.notice) return;
    const std::lock_guard lock(shared_->notice_mutex);
    options_.notice(text);
  }

  /// Reports every second from the beginning of a stop on.
  class stop_report {
   public:
    static constexpr std::chrono::nanoseconds period = std::chrono::seconds(1);

    stop_report(server& s, io::ring& ring) noexcept
        : server_(&s), ring_(&ring), callback_(&stop_report::begin, this), timeout_(&stop_report::due, this) {
      if (ring.stopping()) {
        begin(this);
      } else {
        ring.on_stop(callback_);
      }
    }
    stop_report(const stop_report&) = delete;
    stop_report& operator=(const stop_report&) = delete;
    ~stop_report() { ring_->disarm(timeout_); }

   private:
    static void begin(void* self) {
      auto& r = *static_cast<stop_report*>(self);
      r.ring_->arm_at(r.timeout_, io::ring::clock::now() + period);
    }
    static void due(void* self) {
      auto& r = *static_cast<stop_report*>(self);
      r.ring_->arm(r.timeout_, period);
      r.server_->report_stop();
    }
    server* server_;
    io::ring* ring_;
    io::stop_callback callback_;
    io::timeout timeout_;
  };

  // Of work that is not on a thread of the server.
  void report(std::exception_ptr why) noexcept {
    if (options_.on_error) error_path::escaped(this, std::move(why));
  }

  void thread_is_ready() {
    const std::lock_guard lock(shared_->mutex);
    --shared_->unready;
    shared_->changed.notify_all();
  }

  template <class Started>
  void wait_for_all(unsigned index, Started& started) {
    thread_is_ready();
    if (index != 0) return;
    std::unique_lock lock(shared_->mutex);
    shared_->changed.wait(lock, [this] { return shared_->unready == 0; });
    if (shared_->stopping) return;
    lock.unlock();
    started();
    if (predecessor_) predecessor_->ready();
    predecessor_.reset();
    if (successor_ && !successor_.publish() && options_.notice)
      options_.notice("cannot put the socket for the next process at " + options_.handover + " (" +
                      std::strerror(errno) + "): it will find the port in use");
    if (options_.managed) service::notify("READY=1\nSTATUS=listening on " + joined(local()));
  }

  /// What a thread could not spare, the others must: descriptors are the process's.
  void short_of_descriptors(int number, std::size_t missing, io::ring* own) {
    if (missing != 0) {
      const std::lock_guard lock(shared_->mutex);
      for (io::ring* ring : shared_->rings) {
        if (ring != own) ring->post([missing] { detail::spare_connection::end_longest(missing); });
      }
    }
    if (!options_.notice) return;
    const std::lock_guard lock(shared_->notice_mutex);
    const auto now = std::chrono::steady_clock::now();
    if (now < shared_->next_notice) return;
    shared_->next_notice = now + std::chrono::minutes(1);
    options_.notice(
        number == ENFILE
            ? "the system has no descriptors left, connections have to wait; raise the sysctl fs.file-max"
            : "few of " + std::to_string(detail::descriptor_limit()) +
                  " descriptors are left: idle connections are closed early, new ones may have to wait; "
                  "raise the hard limit (LimitNOFILE= of systemd, ulimit -Hn)");
  }

  template <class Handler, class Ready>
  setup_result<void> serve_thread(unsigned index, Handler& handler, Ready ready) {
    const error_path errors(*this);
    auto ring = io::ring::create(options_.ring);
    if (!ring) return std::move(ring).error();
    std::vector<listener> listeners;
    listeners.reserve(groups_.size());
    listener_options options;
    options.defer_accept = options_.defer_accept;
    options.on_shortage = [this, own = ring->get()](int number, std::size_t missing) {
      short_of_descriptors(number, missing, own);
    };
    for (listen_group& group : groups_) {
      for (std::size_t i = index; i < group.size(); i += options_.threads) {
        struct descriptor {
          int number;
          ~descriptor() {
            if (number >= 0) ::close(number);
          }
        } fd{group.release(i)};
        auto made = listener::create(**ring, fd.number, lookups_.get(), options);
        if (!made) return std::move(made).error();
        fd.number = -1;
        listeners.push_back(*std::move(made));
      }
    }
    // However this ends: nobody stops a ring that is gone, and coroutines end before their listeners.
    struct ending {
      shared* all;
      io::ring* ring;
      ~ending() {
        {
          const std::lock_guard lock(all->mutex);
          std::erase(all->rings, ring);
          std::erase(all->activities, &detail::activities);
        }
        io::detail::destroy_roots();
      }
    } const at_the_end{shared_.get(), ring->get()};
    const detail::heartbeat heart(*shared_->beats, index, **ring);
    const stop_report report_while_stopping(*this, **ring);
    const auto spawn_whole = [](io::task<> outer) {
      if (outer.out_of_memory()) io::detail::throw_bad_alloc();
      io::spawn(std::move(outer));
    };
    for (listener& each : listeners) {
      io::task<> acceptor = handler(each);
      if (acceptor.out_of_memory()) io::detail::throw_bad_alloc();
      spawn_whole(watch(std::move(acceptor), each));
    }
    if (index == 0) {
      if (successor_) spawn_whole(await_successors(**ring));
      for (const auto& each : background_) {
        io::task<> work = each->start(**ring);
        if (work.out_of_memory()) io::detail::throw_bad_alloc();
        spawn_whole(run_in_background(std::move(work)));
      }
    }
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->rings.push_back(ring->get());
      shared_->activities.push_back(&detail::activities);
      if (shared_->stopping) (*ring)->stop(shared_->grace);
    }
    ready();
    const auto ended = (*ring)->run();
    if (!ended)
      return setup_error{errc::system, ended.error().os, "the kernel refused the ring while it ran"};
    return {};
  }

  server_options options_;
  std::shared_ptr<batch_handler> lookups_;
  std::vector<listen_group> groups_;
  std::vector<std::unique_ptr<background_work>> background_;
  detail::successor_socket successor_;
  std::optional<detail::predecessor> predecessor_;
  std::unique_ptr<shared> shared_;
};

}  // namespace net
SYNFP_END_NAMESPACE
