import TestNetwork
import Testing
import WeirFlow
import WeirImage
import WeirKernel
import WeirModel

@Suite("Judging flows with the kernel's programs", .serialized, .enabled(if: kernelTestsAreWanted))
struct KernelJudgeTests {
    private func query(
        _ endpoint: UInt32, _ direction: Direction, local: String, peer: String, _ protocol: IPProtocol, _ port: UInt16,
        path: FlowQuery.Path = .forwarded
    ) throws -> FlowQuery {
        FlowQuery(
            endpoint: endpoint, direction: direction, localAddress: try #require(IPAddress(local)),
            peerAddress: try #require(IPAddress(peer)), path: path, protocol: `protocol`, port: port)
    }

    private func judge() throws -> KernelJudge {
        try KernelJudge(
            image: HandmadeImage.make(port: 80), object: EmbeddedObject.bytes,
            frame: { PacketBuilder.frame(for: $0) })
    }

    @Test("the rule that allows, the default deny, the host and the open side, in both families")
    func verdicts() throws {
        let judge = try judge()
        let allowed = Decision(.allow, rule: HandmadeImage.portRule)
        let denied = Decision(.defaultDeny, rule: HandmadeImage.defaultDenyRule)
        for (local, peer, stranger) in [("10.7.0.3", "10.7.0.2", "192.0.2.1"), ("fd07::3", "fd07::2", "2001:db8::1")] {
            #expect(try judge.judge(query(2, .ingress, local: local, peer: peer, .tcp, 80)) == allowed)
            #expect(try judge.judge(query(2, .ingress, local: local, peer: peer, .tcp, 81)) == denied)
            #expect(try judge.judge(query(2, .ingress, local: local, peer: peer, .udp, 80)) == denied)
            #expect(try judge.judge(query(2, .ingress, local: local, peer: stranger, .tcp, 80)) == denied)
            #expect(
                try judge.judge(query(2, .ingress, local: local, peer: stranger, .tcp, 9, path: .host))
                    == Decision(.allow))
            #expect(try judge.judge(query(1, .egress, local: peer, peer: local, .tcp, 81)) == Decision(.allow))
            #expect(try judge.judge(query(1, .ingress, local: peer, peer: local, .sctp, 5)) == Decision(.allow))
        }
    }

    @Test("the same question gets the same answer: nothing is remembered")
    func repeated() throws {
        let judge = try judge()
        let question = try query(2, .ingress, local: "10.7.0.3", peer: "10.7.0.2", .tcp, 80)
        for _ in 0..<1000 { #expect(try judge.judge(question).kind == .allow) }
    }

    @Test("a question that policy is never asked is an error and not a verdict")
    func noVerdict() throws {
        let judge = try judge()
        #expect(throws: KernelJudge.NoVerdict.self) {
            try judge.judge(query(9, .ingress, local: "10.7.0.3", peer: "10.7.0.2", .tcp, 80))
        }
        #expect(throws: KernelJudge.NoVerdict.self) {
            try judge.judge(query(1, .egress, local: "10.7.0.9", peer: "10.7.0.3", .tcp, 80))
        }
    }
}
