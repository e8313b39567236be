import Testing
import WeirModel
import WeirNetlink

@Suite("Messages of routes and rules")
struct RoutingMessageTests {
    @Test(
        "a route is, byte for byte, what ip sends for it", arguments: Recording.kernels, ["10.7.2.0/24", "fd07:2::/64"])
    func routes(kernel: String, prefix: String) throws {
        let destination = try #require(Prefix(prefix))
        // The recorded device was the second interface of its machine.
        let through = TableRoute(to: destination, table: 51871, metric: 7, target: .interface(2, mtu: 1380))
        #expect(
            bytes(of: try NetlinkMessages([through]))
                == (try Recording.of(
                    "ip route replace \(prefix) dev wg0 table 51871 mtu 1380 proto static metric 7", kernel)).change)
        let unreachable = TableRoute(to: destination, table: 51871, metric: .max, target: .unreachable)
        var recorded = try Recording.of(
            "ip route add unreachable \(prefix) table 51871 metric 4294967295 proto static", kernel
        ).change
        // It was added; a route is put with NLM_F_REPLACE (0x100) instead of NLM_F_EXCL (0x200).
        recorded[7] = 5
        #expect(bytes(of: try NetlinkMessages([unreachable])) == recorded)
    }

    @Test("a rule is, byte for byte, what ip sends for it", arguments: Recording.kernels)
    func rules(kernel: String) throws {
        let rules = [
            "ip rule add pref 51 table 51871 proto static": RoutingRule(.ipv4, preference: 51, table: 51871),
            "ip -6 rule add pref 51 table 51871 proto static": RoutingRule(.ipv6, preference: 51, table: 51871),
            "ip rule add pref 52 not fwmark 0x200/0xf00 table 51871 proto static":
                RoutingRule(
                    .ipv4, preference: 52, table: 51871, mark: RoutingRule.Mark(0x200, mask: 0xf00), isInverted: true),
        ]
        for (command, rule) in rules {
            #expect(bytes(of: try NetlinkMessages(rule)) == (try Recording.of(command, kernel)).change)
        }
    }

    @Test("interfaces and addresses are, byte for byte, what ip sends for them", arguments: Recording.kernels)
    func links(kernel: String) throws {
        let netlink = Netlink()
        #expect(
            bytes(of: try netlink.messages(forCreating: "wg0"))
                == (try Recording.of("ip link add wg0 type wireguard", kernel)).change.suffix(60))
        for (address, words) in [("10.7.1.1", "10.7.1.1/24"), ("fd07::1:1", "fd07::1:1/112")] {
            let address = InterfaceAddress(
                interface: 2, address: try #require(IPAddress(address)), prefixLength: address.contains(":") ? 112 : 24)
            #expect(
                bytes(of: try NetlinkMessages(address))
                    == (try Recording.of("ip address add \(words) dev wg0", kernel)).change)
        }
    }
}
