// SPDX-License-Identifier: MIT
// A client that is made by hand, packet by packet, and an attacker who knows its addresses and ports but not
// its sequence numbers. The answer is the client's SYN or a miss, never the forgery.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <synfp/socket.h>
#include <algorithm>
#include <memory>
#include <optional>
#include <synfp/capture/first_of.hpp>
#include <synfp/capture/probe.hpp>
#include <synfp/capture/saved_syn.hpp>

#include "../support/cgroup.hpp"
#include "../support/hooks.hpp"
#include "../support/kprobes.hpp"
#include "../support/packet_socket.hpp"
#include "../support/process.hpp"
#include "../support/sockets.hpp"
#include "../support/two_hosts.hpp"

namespace {

using namespace synfp::test;
using synfp::endpoint;
using synfp::hook;
using synfp::miss;
using synfp::probe_config;
using synfp::proof;
using synfp::capture::now_ns;

/// Calls f<H>() for the hooks that are attached to an interface.
template <class F>
void on_interfaces(F f) {
  for (const hook where : all_hooks()) {
    if (watching(where, "s0").interfaces.empty()) continue;
    SCOPED_TRACE(hook_name(where));
    with_hook(where, f);
  }
}

constexpr std::uint32_t genuine = 1'000'000, forged = 2'000'000;

/// A server with a probe; the client's addresses (10.77.0.9, fd77::9) belong to nobody, so no kernel answers
/// for it.
template <hook H>
class scene {
 public:
  /// `covered`: the listener is in a cgroup, whose sockets the probe proves and answers for.
  scene(int cookies, bool v6, bool covered = H == hook::sockops) {
    hosts_.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(cookies));
    hosts_.server.inside([] {
      command("ip neigh add 10.77.0.9 lladdr 02:00:00:00:00:02 dev s0 nud permanent");
      command("ip neigh add fd77::9 lladdr 02:00:00:00:00:02 dev s0 nud permanent");
    });
    auto options = watching(H, "s0");
    if (covered) {
      group_.emplace();
      options.cgroups = {group_->path()};
    }
    probe_ = hosts_.server.inside([&] { return std::make_unique<probe_type>(options); });
    wire_ = hosts_.client.inside([] { return std::make_unique<packet_socket>("c0"); });
    listener_ = hosts_.server.inside([&] {
      std::optional<cgroup::membership> inside;
      if (group_) inside.emplace(*group_);
      return bound(*endpoint::parse("[::]:0"));
    });
    if (!probe_->prepare(listener_.get(), true)) throw std::runtime_error("prepare a listener");
    must(::listen(listener_.get(), 16) == 0, "listen");
    base_.to_mac = {2, 0, 0, 0, 0, 1};
    base_.from_mac = {2, 0, 0, 0, 0, 2};
    base_.source = v6 ? *endpoint::parse("[fd77::9]:40000") : endpoint::v4(10, 77, 0, 9, 40000);
    base_.destination = v6 ? *endpoint::parse("[fd77::1]:0") : endpoint::v4(10, 77, 0, 1, 0);
    base_.destination.set_port(local_of(listener_.get()).port());
  }

  void send(std::uint32_t sequence, std::uint8_t flags, std::uint32_t acknowledgment = 0) {
    packet_builder p = base_;
    p.sequence = sequence;
    p.flags = flags;
    p.acknowledgment = acknowledgment;
    if (flags != syn) p.options.clear();
    send(p);
  }
  /// The client's SYN (or a forged one) with whatever was changed.
  void send(const packet_builder& p) {
    hosts_.client.inside([&] { wire_->send(p.frame()); });
  }
  packet_builder syn_of(std::uint32_t sequence) const {
    packet_builder p = base_;
    p.sequence = sequence;
    return p;
  }
  /// A SYN that reaches the listener's program and that the stack then drops: it checks the checksum of
  /// segments above 76 bytes afterwards.
  packet_builder unchecked(std::uint32_t sequence) const {
    packet_builder p = syn_of(sequence);
    p.options = {2, 4, 5, 180, 1, 3, 3, 8, 1, 1, 4, 2};
    p.payload = bytes(100, 'x');
    p.bad_checksum = true;
    return p;
  }
  /// The client's SYN in two fragments (IPv4), which the stack joins; returns what its ACK has to
  /// acknowledge.
  std::uint32_t send_syn_in_fragments(std::uint32_t sequence) {
    packet_builder p = base_;
    p.sequence = sequence;
    const bytes segment = p.tcp();
    constexpr std::size_t cut = 24;
    for (const bool first : {true, false}) {
      packet_builder part = p;
      part.fragment = first ? 0x2000 : cut / 8;
      part.total_length = static_cast<std::uint16_t>(20 + (first ? cut : segment.size() - cut));
      bytes packet = part.ip();
      packet.resize(20);
      packet.insert(packet.end(), segment.begin() + (first ? 0 : cut),
                    first ? segment.begin() + cut : segment.end());
      hosts_.client.inside([&] { wire_->send(p.framed(packet)); });
    }
    return acknowledgment_of(sequence);
  }
  /// The client's SYN; returns what its ACK has to acknowledge, from the answer to this very SYN.
  std::uint32_t send_syn(std::uint32_t sequence) {
    send(sequence, syn);
    return acknowledgment_of(sequence);
  }
  std::uint32_t send_syn(const packet_builder& p) {
    send(p);
    return acknowledgment_of(p.sequence);
  }
  std::uint32_t acknowledgment_of(std::uint32_t sequence) const {
    for (;;) {
      const bytes answer =
          wire_->next(base_.destination.port(), base_.source.port(), static_cast<std::uint8_t>(syn | ack));
      if (answer.empty()) throw std::runtime_error("no SYN-ACK");
      const auto r = synfp::syn_record::from_bytes(answer);
      if (r && r->tcp().acknowledgment() == sequence + 1) return r->tcp().sequence() + 1;
    }
  }
  void send_ack(std::uint32_t sequence, std::uint32_t acknowledgment) {
    send(sequence + 1, ack, acknowledgment);
  }
  /// Waits until the server has taken in what was sent: it answers a SYN to a closed port, behind it in the
  /// queue, with RST.
  void settle() {
    packet_builder p = base_;
    p.source.set_port(static_cast<std::uint16_t>(50000 + ++settled_));
    p.destination.set_port(9);
    hosts_.client.inside([&] { wire_->send(p.frame()); });
    if (wire_->next(9, p.source.port(), static_cast<std::uint8_t>(rst | ack)).empty())
      throw std::runtime_error("no RST");
  }
  /// Nothing is captured until attach(), as before a probe was started.
  void detach() {
    const int unused = 0;
    must(::setsockopt(listener_.get(), SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof unused) == 0,
         "SO_DETACH_REUSEPORT_BPF");
  }
  void attach() { ASSERT_TRUE(probe_->prepare(listener_.get(), true)); }
  /// The listener keeps SYNs as well.
  void keep_syns() { ASSERT_TRUE(kept_.prepare(listener_.get(), false)); }
  /// The answer to a server that asks the kernel whenever the probe has only `tuple`.
  synfp::syn_lookup take_strict() const {
    synfp::capture::first_of both(synfp::capture::trust::strict, *probe_, kept_);
    return both.claim({connection_.get(), peer_of(connection_.get()), local_of(connection_.get())}, now_ns());
  }
  bool accept() {
    connection_ = accepted(listener_);
    return static_cast<bool>(connection_);
  }
  synfp::syn_lookup find() const {
    return probe_->find({connection_.get(), peer_of(connection_.get()), local_of(connection_.get())},
                        now_ns());
  }
  /// What the socket itself says.
  synfp_socket_answer answer() const {
    synfp_socket_answer a{};
    must(synfp_socket_syn(connection_.get(), &a) == 0, "ask the socket");
    return a;
  }
  /// TCP_SAVED_SYN, or empty.
  std::optional<synfp::syn_record> saved() const {
    bytes b(256);
    auto n = static_cast<socklen_t>(b.size());
    must(::getsockopt(connection_.get(), IPPROTO_TCP, TCP_SAVED_SYN, b.data(), &n) == 0,
         "ask for TCP_SAVED_SYN");
    return synfp::syn_record::from_bytes({b.data(), n});
  }
  /// The socket answers with the client's SYN, both ways.
  void expect_genuine_on_the_socket() const {
    const auto a = answer();
    ASSERT_EQ(a.status, SYNFP_SOCKET_FOUND);
    const auto record = synfp::syn_record::from_bytes({a.headers, sizeof a.headers});
    ASSERT_TRUE(record);
    EXPECT_EQ(record->tcp().sequence(), genuine);
    EXPECT_TRUE(std::ranges::equal(record->tcp().option_bytes(), base_.options));
    const auto kept = saved();
    ASSERT_TRUE(kept);
    EXPECT_TRUE(std::ranges::equal(kept->bytes(), record->bytes()));
  }
  void expect_none_on_the_socket(int status) const {
    EXPECT_EQ(answer().status, status);
    EXPECT_FALSE(saved());
  }
  /// The answer is the client's SYN, with that proof.
  void expect_genuine(proof p) const {
    const auto found = find();
    ASSERT_TRUE(found) << to_string(found.miss);
    EXPECT_EQ(found->tcp().sequence(), genuine);
    EXPECT_TRUE(std::ranges::equal(found->tcp().option_bytes(), base_.options)) << "its own headers";
    EXPECT_EQ(to_string(found.proof), to_string(p));
  }
  void expect_miss(miss why) const {
    const auto found = find();
    EXPECT_EQ(to_string(found.miss), to_string(why));
    EXPECT_TRUE(!found || found->tcp().sequence() != forged);
  }
  std::uint64_t count(int counter) const {
    return probe_->records().counters()[static_cast<std::size_t>(counter)];
  }

 private:
  using probe_type = synfp::capture::probe<probe_config{.hook = H, .buckets = 16, .hold{1000}}>;
  two_hosts hosts_;
  std::optional<cgroup> group_;
  std::unique_ptr<probe_type> probe_;
  mutable synfp::capture::saved_syn kept_;
  std::unique_ptr<packet_socket> wire_;
  fd listener_, connection_;
  packet_builder base_;
  int settled_ = 0;
};

/// Cookies off (0) or always (2), and the family.
class forged_syn : public testing::TestWithParam<std::tuple<int, bool>> {
 protected:
  bool cookies() const { return std::get<0>(GetParam()) == 2; }
  template <hook H>
  scene<H> make(bool covered = H == hook::sockops) const {
    return scene<H>(std::get<0>(GetParam()), std::get<1>(GetParam()), covered);
  }
};

TEST_P(forged_syn, without_a_forgery_the_client_has_its_syn) {
  auto s = make<hook::reuseport>();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 0U);
}

// The half-open connection of the forgery is gone when the client's SYN comes; with cookies, the ACK chooses.
TEST_P(forged_syn, before_the_handshake_reuseport) {
  auto s = make<hook::reuseport>();
  (void)s.send_syn(forged);
  s.send(forged + 1, rst);  // what a client answers to a SYN-ACK that it did not ask for
  s.settle();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 1U);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_UNVERIFIED), 0U);
}

// The stack has not checked it, and drops it.
TEST_P(forged_syn, with_a_wrong_checksum_before_the_handshake_reuseport) {
  auto s = make<hook::reuseport>();
  s.send(s.unchecked(forged));
  s.settle();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_UNCHECKED), 1U);
}

// A client may send data with its SYN. Whether its checksum is right, only the stack says.
TEST_P(forged_syn, a_syn_with_data_is_believed_once_something_confirms_it_reuseport) {
  auto s = make<hook::reuseport>();
  s.keep_syns();
  packet_builder p = s.syn_of(genuine);
  p.payload = bytes(100, 'x');
  s.send_ack(genuine, s.send_syn(p));
  ASSERT_TRUE(s.accept());
  if (cookies()) {
    s.expect_genuine(proof::verified);
  } else {
    s.expect_miss(miss::unchecked);
  }
  const auto strict = s.take_strict();
  ASSERT_TRUE(strict) << to_string(strict.miss);
  EXPECT_EQ(strict->tcp().sequence(), genuine);
  EXPECT_EQ(strict.proof, cookies() ? proof::verified : proof::exact);
}

// Short segments are checked before the program runs.
TEST_P(forged_syn, a_short_one_with_a_wrong_checksum_is_never_seen_reuseport) {
  auto s = make<hook::reuseport>();
  packet_builder p = s.syn_of(forged);
  p.bad_checksum = true;
  p.payload = bytes(36, 'x');
  s.send(p);
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_RUNS), 0U);
  p.payload.push_back('x');  // 77 bytes
  s.send(p);
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_RUNS), 1U);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_UNCHECKED), 1U);
}

// The same sequence number with other headers, which only the client can send: what it is shown as is what
// opened the connection.
TEST_P(forged_syn, a_copy_that_the_stack_dropped_is_not_shown_reuseport) {
  auto s = make<hook::reuseport>();
  s.keep_syns();
  s.send(s.unchecked(genuine));
  s.settle();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_ALTERED), 1U);
  if (cookies()) {
    s.expect_miss(miss::conflict);  // the ACK fits both
  } else {
    s.expect_genuine(proof::tuple);
    EXPECT_EQ(s.take_strict().proof, proof::exact);
  }
}

TEST_P(forged_syn, a_copy_that_the_stack_dropped_is_not_shown_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    s.keep_syns();
    s.send(s.unchecked(genuine));
    s.settle();
    s.send_ack(genuine, s.send_syn(genuine));
    ASSERT_TRUE(s.accept());
    s.expect_miss(miss::conflict);
    const auto strict = s.take_strict();
    EXPECT_EQ(strict.proof, cookies() ? proof::none : proof::exact);
  });
}

// The stack has checked what gets there: nothing has to be confirmed, and a wrong checksum is never seen.
TEST_P(forged_syn, with_a_wrong_checksum_is_never_seen_kprobe) {
  SYNFP_NEEDS_KPROBES();
  auto s = make<hook::kprobe>();
  s.send(s.unchecked(forged));
  s.send(s.unchecked(genuine));
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_RUNS), 0U);
  packet_builder p = s.syn_of(genuine);
  p.payload = bytes(100, 'x');
  s.send_ack(genuine, s.send_syn(p));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::tuple);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_UNCHECKED), 0U);
}

// A SYN in the name of a client that is half open does not get there: the request takes it. With cookies it
// does, and nothing shows which of the two was completed.
TEST_P(forged_syn, during_the_handshake_kprobe) {
  SYNFP_NEEDS_KPROBES();
  auto s = make<hook::kprobe>();
  const std::uint32_t answer = s.send_syn(genuine);
  s.send(forged, syn);
  s.settle();
  s.send_ack(genuine, answer);
  ASSERT_TRUE(s.accept());
  if (cookies()) {
    s.expect_miss(miss::conflict);
  } else {
    s.expect_genuine(proof::tuple);
  }
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_RUNS), cookies() ? 2U : 1U);
}

// Also from a client whose SYN was answered before and forgotten.
TEST_P(forged_syn, before_the_handshake_kprobe) {
  SYNFP_NEEDS_KPROBES();
  auto s = make<hook::kprobe>();
  s.keep_syns();
  (void)s.send_syn(forged);
  s.send(forged + 1, rst);
  s.settle();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_miss(miss::conflict);
  const auto strict = s.take_strict();
  EXPECT_EQ(strict.proof, cookies() ? proof::none : proof::exact);
  if (strict) {
    EXPECT_EQ(strict->tcp().sequence(), genuine);
  }
}

TEST_P(forged_syn, in_fragments_is_put_together_kprobe) {
  SYNFP_NEEDS_KPROBES();
  if (std::get<1>(GetParam())) return;  // fragments are made of IPv4 only
  auto s = make<hook::kprobe>();
  s.send_ack(genuine, s.send_syn_in_fragments(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::tuple);
}

// A flood of forgeries in the name of one client: its own SYN keeps its place beside them.
TEST_P(forged_syn, many_do_not_displace_the_clients_own_reuseport) {
  auto s = make<hook::reuseport>();
  for (std::uint32_t i = 0; i < 3; ++i) s.send(s.unchecked(forged + i));
  s.settle();
  const std::uint32_t answer = s.send_syn(genuine);
  for (std::uint32_t i = 3; i < 40; ++i) s.send(s.unchecked(forged + i));
  s.settle();
  s.send_ack(genuine, answer);
  ASSERT_TRUE(s.accept());
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
}

// The client's SYN finds all places of its key taken by younger ones than `hold`. It is not stored, so that
// none of those may be believed.
TEST_P(forged_syn, that_left_it_no_room_are_not_believed_reuseport) {
  auto s = make<hook::reuseport>();
  for (std::uint32_t i = 0; i < synfp::SYNFP_CANDIDATES; ++i) {
    (void)s.send_syn(forged + 10 * i);
    s.send(forged + 10 * i + 1, rst);
    s.settle();
  }
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  if (s.count(synfp::SYNFP_COUNT_HELD) == 0) {  // a machine so slow that one of them was not young any more
    s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  } else {
    s.expect_miss(miss::conflict);
  }
}

TEST_P(forged_syn, before_the_handshake_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    (void)s.send_syn(forged);
    s.send(forged + 1, rst);
    s.settle();
    s.send_ack(genuine, s.send_syn(genuine));
    ASSERT_TRUE(s.accept());
    s.expect_miss(miss::conflict);
    EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 1U);
  });
}

TEST_P(forged_syn, during_the_handshake_reuseport) {
  auto s = make<hook::reuseport>();
  const std::uint32_t answer = s.send_syn(genuine);
  s.send(forged, syn);
  s.send(forged + 7, syn);
  s.settle();
  s.send_ack(genuine, answer);
  ASSERT_TRUE(s.accept());
  // Without cookies the half-open connection takes the forgery; with them the ACK settles it.
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), cookies() ? 2U : 0U);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_VERIFIED), cookies() ? 1U : 0U);
}

TEST_P(forged_syn, during_the_handshake_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    const std::uint32_t answer = s.send_syn(genuine);
    s.send(forged, syn);
    s.settle();
    s.send_ack(genuine, answer);
    ASSERT_TRUE(s.accept());
    s.expect_miss(miss::conflict);
    EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 1U);
  });
}

TEST_P(forged_syn, after_the_handshake_reuseport) {
  auto s = make<hook::reuseport>();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.send(forged, syn);
  s.send(forged + 1, ack, 12345);
  s.settle();
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 0U) << "the established connection takes it";
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_UNVERIFIED), 0U);
}

TEST_P(forged_syn, after_the_handshake_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    s.send_ack(genuine, s.send_syn(genuine));
    ASSERT_TRUE(s.accept());
    s.expect_genuine(proof::tuple);
    s.send(forged, syn);
    s.settle();
    s.expect_miss(miss::conflict);
    EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 1U);
  });
}

// Copies of the client's SYN are no contradiction, and do not make a forgery between them one's own.
TEST_P(forged_syn, retransmits_are_the_clients_own_reuseport) {
  auto s = make<hook::reuseport>();
  (void)s.send_syn(genuine);
  (void)s.send_syn(genuine);
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  EXPECT_EQ(s.find()->arrived().retransmits, cookies() ? std::optional<std::uint8_t>(2) : std::nullopt);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 0U);
}

TEST_P(forged_syn, retransmits_are_the_clients_own_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    (void)s.send_syn(genuine);
    (void)s.send_syn(genuine);
    s.send_ack(genuine, s.send_syn(genuine));
    ASSERT_TRUE(s.accept());
    s.expect_genuine(proof::tuple);
    EXPECT_EQ(s.find()->arrived().retransmits, 2);
    EXPECT_EQ(s.count(synfp::SYNFP_COUNT_CONFLICT), 0U);
  });
}

TEST_P(forged_syn, between_retransmits_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    (void)s.send_syn(genuine);
    s.send(forged, syn);
    s.settle();
    s.send_ack(genuine, s.send_syn(genuine));
    ASSERT_TRUE(s.accept());
    s.expect_miss(miss::conflict);
  });
}

// A SYN that the stack accepts and that the probe cannot keep.
class unseen_syn : public forged_syn {};

TEST_P(unseen_syn, in_fragments_leaves_a_forgery_unbelievable_on_an_interface) {
  on_interfaces([this]<hook H>() {
    auto s = make<H>();
    s.keep_syns();
    const std::uint32_t answer = s.send_syn_in_fragments(genuine);
    EXPECT_EQ(s.count(synfp::SYNFP_COUNT_FRAGMENT), 2U);
    s.send(forged, syn);
    s.settle();
    s.send_ack(genuine, answer);
    ASSERT_TRUE(s.accept());
    s.expect_miss(miss::conflict);
    const auto strict = s.take_strict();
    if (cookies()) {
      EXPECT_EQ(strict.miss, miss::conflict);
    } else {
      ASSERT_TRUE(strict) << to_string(strict.miss);
      EXPECT_EQ(strict.proof, proof::exact);
      EXPECT_EQ(strict->tcp().sequence(), genuine);
    }
  });
}

// reuseport sees the SYN after reassembly.
TEST_P(unseen_syn, is_seen_by_reuseport) {
  auto s = make<hook::reuseport>();
  const std::uint32_t answer = s.send_syn_in_fragments(genuine);
  s.send(forged, syn);
  s.settle();
  s.send_ack(genuine, answer);
  ASSERT_TRUE(s.accept());
  s.expect_genuine(cookies() ? proof::verified : proof::tuple);
}

// Only with cookies: the listener's program sees every ACK before the cookie is checked, also a forged one
// that fits a forged SYN.
class forged_ack : public forged_syn {};

TEST_P(forged_ack, that_fits_a_forged_syn_does_not_verify_it_for_the_client) {
  auto s = make<hook::reuseport>();
  s.send(forged, syn);
  s.send_ack(forged, 4711);
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_VERIFIED), 1U) << "it matched the only SYN there was";
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::verified);
}

// The client's SYN is not in the table, and its ACK says so.
TEST_P(forged_ack, of_a_client_whose_syn_was_not_stored) {
  auto s = make<hook::reuseport>();
  packet_builder p = s.syn_of(genuine);
  p.extensions.assign(7, destination_options());
  if (p.v6()) {
    const std::uint32_t answer = s.send_syn(p);
    s.send(forged, syn);
    s.send_ack(forged, 4711);
    s.settle();
    s.send_ack(genuine, answer);
    ASSERT_TRUE(s.accept());
    s.expect_miss(miss::truncated);
  }
}

TEST_P(forged_ack, of_a_client_whose_syn_came_before_the_probe) {
  auto s = make<hook::reuseport>();
  s.detach();
  const std::uint32_t answer = s.send_syn(genuine);
  s.attach();
  s.send(forged, syn);
  s.send_ack(forged, 4711);
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_VERIFIED), 1U);
  s.send_ack(genuine, answer);
  ASSERT_TRUE(s.accept());
  s.expect_miss(miss::conflict);
}

TEST_P(forged_ack, between_the_clients_syn_and_ack_does_not_win) {
  auto s = make<hook::reuseport>();
  const std::uint32_t answer = s.send_syn(genuine);
  s.send(forged, syn);
  s.send_ack(forged, 4711);
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_VERIFIED), 1U);
  s.send_ack(genuine, answer);
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::verified);
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_VERIFIED), 2U);
}

// IPv6: what the listener's program cannot keep, or could not before.
class extension_headers : public forged_syn {};

TEST_P(extension_headers, an_atomic_fragment_is_a_whole_packet) {
  for (const bool forge : {false, true}) {
    auto s = make<hook::reuseport>();
    if (forge) s.send(s.unchecked(forged));
    packet_builder p = s.syn_of(genuine);
    p.extensions = {atomic_fragment()};
    s.send_ack(genuine, s.send_syn(p));
    ASSERT_TRUE(s.accept());
    s.expect_genuine(cookies() ? proof::verified : proof::tuple);
  }
}

TEST_P(extension_headers, more_than_the_program_walks_are_distrusted) {
  for (const bool forge : {false, true}) {
    auto s = make<hook::reuseport>();
    s.keep_syns();
    if (forge) {
      s.send(forged, syn);
      s.send(forged + 1, rst);
      s.settle();
    }
    packet_builder p = s.syn_of(genuine);
    p.extensions.assign(20, destination_options());
    s.send_ack(genuine, s.send_syn(p));
    ASSERT_TRUE(s.accept());
    EXPECT_EQ(s.count(synfp::SYNFP_COUNT_EXTENSIONS), 1U);
    s.expect_miss(miss::truncated);
    const auto strict = s.take_strict();
    if (cookies()) {
      EXPECT_EQ(strict.miss, miss::truncated);
    } else {
      ASSERT_TRUE(strict) << to_string(strict.miss);
      EXPECT_EQ(strict->tcp().sequence(), genuine);
      EXPECT_EQ(strict.proof, proof::exact);
      EXPECT_TRUE(strict->truncated());
    }
  }
}

// As long as the packet is, says a payload length of 0 before a hop-by-hop header to the stack.
TEST_P(extension_headers, a_payload_length_of_0_is_distrusted) {
  auto s = make<hook::reuseport>();
  s.send(forged, syn);
  s.send(forged + 1, rst);
  s.settle();
  packet_builder p = s.syn_of(genuine);
  p.extensions = {hop_by_hop()};
  p.extensions[0].data = {0, 0, 1, 4, 0, 0, 0, 0};
  p.total_length = 0;
  s.send(p);
  s.settle();
  EXPECT_EQ(s.count(synfp::SYNFP_COUNT_BAD_IP), 1U);
  if (cookies()) return;  // the stack sends no cookie for it
  s.send_ack(genuine, s.acknowledgment_of(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_miss(miss::truncated);
}

// A link-local address is somebody else's on every link, and the listener's program does not know on which
// one a SYN came. Two clients with the same address and port on two links: both connections live side by
// side.
class two_links : public testing::TestWithParam<int> {};

TEST_P(two_links, with_the_same_addresses_do_not_share_syns_reuseport) {
  for (const bool neighbour_first : {true, false}) {
    const two_hosts hosts;
    const network_namespace other;
    hosts.server.connect(other, "s1", "c0");
    two_hosts::set_up(other, "c0", "2");
    hosts.server.inside([] {
      synfp::tools::ip(
          "link set s1 addrgenmode none address 02:00:00:00:00:03 up\naddr add fe80::1/64 dev s1 nodad\n");
    });
    hosts.server.sysctl("net/ipv4/tcp_syncookies", std::to_string(GetParam()));
    using probe_type = synfp::capture::probe<probe_config{.buckets = 16}>;
    const auto probe = hosts.server.inside([] { return std::make_unique<probe_type>(); });
    const packet_socket wires[] = {hosts.server.inside([] { return packet_socket("s0"); }),
                                   hosts.server.inside([] { return packet_socket("s1"); })};
    const fd listener = hosts.server.inside([] { return bound(*endpoint::parse("[::]:0")); });
    synfp::capture::saved_syn kept;
    ASSERT_TRUE(probe->prepare(listener.get(), true) && kept.prepare(listener.get(), true));
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    const std::uint16_t port = local_of(listener.get()).port();
    const auto connect_from = [&](const network_namespace& where) {
      return where.inside([&] {
        const unsigned link = ::if_nametoindex("c0");
        return connected(endpoint::v6(endpoint::parse("[fe80::1]:0")->address(), port, link),
                         endpoint::v6(endpoint::parse("[fe80::2]:0")->address(), 40'000, link));
      });
    };
    const fd first = connect_from(neighbour_first ? other : hosts.client);
    const fd second = connect_from(neighbour_first ? hosts.client : other);
    for (int i = 0; i < 2; ++i) {
      const fd c = accepted(listener);
      ASSERT_TRUE(c);
      const endpoint peer = peer_of(c.get());
      const synfp::capture::connection connection{c.get(), peer, local_of(c.get())};
      // Or busy: both have one key, and their packets may meet in its bucket on two CPUs.
      const auto not_known = testing::AnyOf(miss::ambiguous, miss::busy);
      EXPECT_THAT(probe->find(connection, now_ns()).miss, not_known);
      // The kernel's own copy is this connection's.
      synfp::capture::first_of both(*probe, kept);
      const auto found = both.claim(connection, now_ns());
      if (GetParam() == 2) {
        EXPECT_THAT(found.miss, not_known);
        continue;
      }
      const packet_socket& wire = wires[wires[0].index() == peer.scope() ? 0 : 1];
      ASSERT_EQ(wire.index(), peer.scope());
      ASSERT_TRUE(found) << to_string(found.miss);
      EXPECT_TRUE(std::ranges::equal(found->bytes(), wire.next(40'000, port, syn))) << "connection " << i;
      EXPECT_EQ(to_string(found.proof), to_string(proof::exact));
    }
  }
}

std::string name_of(const testing::TestParamInfo<std::tuple<int, bool>>& one) {
  return std::string(std::get<1>(one.param) ? "v6" : "v4") + "_cookies" +
         std::to_string(std::get<0>(one.param));
}
// ---- with a probe in the cgroup of the socket ----

TEST_P(forged_syn, on_the_socket_nothing_is_lost_without_a_forgery) {
  auto s = make<hook::sockops>();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::verified);
  s.expect_genuine_on_the_socket();
  EXPECT_EQ(s.answer().proof, cookies() ? SYNFP_SOCKET_VERIFIED : SYNFP_SOCKET_EXACT);
}

// Of several SYNs the one that the connection began with.
TEST_P(forged_syn, on_the_socket_other_sequence_numbers_before_the_handshake) {
  auto s = make<hook::sockops>();
  for (std::uint32_t i = 0; i < 3; ++i) {
    (void)s.send_syn(forged + i);
    if (!cookies()) s.send(forged + i + 1, rst);
    s.settle();
  }
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine_on_the_socket();
  s.expect_genuine(proof::verified);
}

TEST_P(forged_syn, on_the_socket_other_sequence_numbers_after_the_syn) {
  auto s = make<hook::sockops>();
  const std::uint32_t acknowledgment = s.send_syn(genuine);
  for (std::uint32_t i = 0; i < 3; ++i) s.send(forged + i, syn);
  s.settle();
  s.send_ack(genuine, acknowledgment);
  ASSERT_TRUE(s.accept());
  s.expect_genuine_on_the_socket();
}

// After it was established, nothing reaches what is kept with the socket.
TEST_P(forged_syn, on_the_socket_after_the_handshake) {
  auto s = make<hook::sockops>();
  s.send_ack(genuine, s.send_syn(genuine));
  for (std::uint32_t i = 0; i < 20; ++i) s.send(forged + i, syn);
  s.settle();
  ASSERT_TRUE(s.accept());
  s.expect_genuine_on_the_socket();
}

// The same sequence number with other options: with cookies nobody can tell, and says so; without, the kernel
// keeps the first.
TEST_P(forged_syn, on_the_socket_a_copy_with_other_options) {
  auto s = make<hook::sockops>();
  const std::uint32_t acknowledgment = s.send_syn(genuine);
  packet_builder other = s.syn_of(genuine);
  other.options = {2, 4, 5, 180, 1, 3, 3, 2};
  s.send(other);
  s.settle();
  s.send_ack(genuine, acknowledgment);
  ASSERT_TRUE(s.accept());
  if (cookies()) {
    s.expect_none_on_the_socket(SYNFP_SOCKET_CONFLICT);
  } else {
    s.expect_genuine_on_the_socket();
  }
}

// Of a retransmission only the timestamp may differ.
TEST_P(forged_syn, on_the_socket_a_retransmission) {
  auto s = make<hook::sockops>();
  packet_builder first = s.syn_of(genuine), second = first;
  first.options = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 1, 1, 0, 0, 0, 0, 1, 3, 3, 7};
  second.options = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 2, 2, 0, 0, 0, 0, 1, 3, 3, 7};
  (void)s.send_syn(first);
  const std::uint32_t acknowledgment = s.send_syn(second);
  s.send_ack(genuine, acknowledgment);
  ASSERT_TRUE(s.accept());
  EXPECT_EQ(s.answer().status, SYNFP_SOCKET_FOUND);
  EXPECT_TRUE(s.saved());
  if (cookies()) {
    EXPECT_EQ(s.answer().flags & SYNFP_SOCKET_RETRANSMITS, SYNFP_SOCKET_RETRANSMITS);
    EXPECT_EQ(s.answer().retransmits, 1);
  }
}

// The other hooks' records are proven too, and a forgery does not keep the proof from the client's.
TEST_P(forged_syn, proven_by_the_socket_reuseport) {
  auto s = make<hook::reuseport>(true);
  (void)s.send_syn(forged);
  if (!cookies()) s.send(forged + 1, rst);
  s.settle();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::verified);
  s.expect_genuine_on_the_socket();
}
TEST_P(forged_syn, proven_by_the_socket_xdp) {
  auto s = make<hook::xdp>(true);
  (void)s.send_syn(forged);
  if (!cookies()) s.send(forged + 1, rst);
  s.settle();
  s.send_ack(genuine, s.send_syn(genuine));
  ASSERT_TRUE(s.accept());
  s.expect_genuine(proof::verified);
  s.expect_genuine_on_the_socket();
}

INSTANTIATE_TEST_SUITE_P(all, forged_syn, testing::Combine(testing::Values(0, 2), testing::Bool()), name_of);
INSTANTIATE_TEST_SUITE_P(all, extension_headers,
                         testing::Combine(testing::Values(0, 2), testing::Values(true)), name_of);
INSTANTIATE_TEST_SUITE_P(all, unseen_syn, testing::Combine(testing::Values(0, 2), testing::Values(false)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(all, two_links, testing::Values(0, 2), [](const testing::TestParamInfo<int>& one) {
  return "cookies" + std::to_string(one.param);
});
INSTANTIATE_TEST_SUITE_P(all, forged_ack, testing::Combine(testing::Values(2), testing::Bool()), name_of);

}  // namespace
