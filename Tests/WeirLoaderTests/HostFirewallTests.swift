import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirABI
import WeirImage
import WeirLoader
import WeirModel

/// A node that is a subject itself, with real packets. Machine 2 is no pod but somebody outside, behind the device
/// `veth-2`; pod 3 is the node's.
@Suite("Host firewall on devices", .serialized, .enabled(if: kernelTestsAreWanted))
struct HostFirewallTests {
    /// To the node: TCP port 80 from machine 2, and what `also` has. From the node: everything, or nothing.
    private func image(also address: [UInt8]? = nil, closed: Bool = false) throws -> Image {
        var image = HandmadeImage.make(port: 80, pods: [3])
        image.nodeAddresses = [try #require(IPAddress("10.7.0.1"))]
        var host = weir_endpoint()
        host.id = 2
        host.egress_row = closed ? 10 : 0
        host.ingress_row = 10
        host.flags = WEIR_ENDPOINT_HOST.rawValue
        image.endpoints.append(
            .init(
                name: Image.hostName, id: 2, addresses: image.nodeAddresses, value: host.abiBytes, attachment: nil))
        if let address {
            let known = try #require(image.maps[.ipcache4]?.first { $0.key == [10, 7, 0, 2] })
            image.maps[.ipcache4]?.append(.init(key: address, value: known.value))
            image.maps[.ipcache4]?.sort()
        }
        return image
    }

    private func listen(on node: String, _ port: Int) throws -> BackgroundCommand {
        let listener = try BackgroundCommand([
            "ip", "netns", "exec", node, "socat", "TCP-LISTEN:\(port),fork,reuseaddr", "SYSTEM:true",
        ])
        for _ in 0..<50 {
            let ask = ["ip", "netns", "exec", node, "sh", "-c", "ss -ltn | grep -q :\(port)"]
            if try attempt(ask).status == 0 { break }
            usleep(20_000)
        }
        return listener
    }

    @Test(
        "what the policy says of the node holds on its device; what only passes through it is the pods' affair",
        arguments: [AttachMode.tcx, .clsact])
    func device(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode)
        let (topology, place) = (fixture.topology, fixture.place)
        let servers = try [80, 81].map { try listen(on: topology.node, $0) }
        let inPod = try topology.listen(in: 1, 80)
        let outside = try topology.listen(in: 0, 90)
        defer { for server in servers + [inPod, outside] { server.stop() } }
        let image = try image()
        let outcome = try place.onNode { try place.loader { $0.devices = ["veth-2"] }.apply(image) }
        #expect(outcome.attached.count == 4)
        #expect(try topology.connect(from: 0, "10.7.0.1", 80))
        #expect(try !topology.connect(from: 0, "10.7.0.1", 81))
        #expect(try !topology.ping(from: 0, "10.7.0.1"))
        // Through the node, judged at the pod.
        #expect(try topology.connect(from: 0, "10.7.0.3", 80))
        #expect(try topology.ping(from: 1, "10.7.0.2"))
        // From the node, with its answers.
        let call = ["ip", "netns", "exec", topology.node, "nc", "-z", "-w", "1", "10.7.0.2", "90"]
        #expect(try attempt(call).status == 0)
        // The pod to the node: its own egress is open, the node knows nothing of it.
        #expect(try !topology.connect(from: 1, "10.7.0.1", 80))
        let status = try #require(try place.status())
        #expect(status.problems == [])
        let findings = try place.onNode { try place.loader { $0.devices = ["veth-2"] }.examine() }.findings
        // Here an image is applied, not a bundle.
        #expect(findings.allSatisfy { [.interfaceUnjudged, .bundleLost].contains($0.id) }, "\(findings)")
        try place.detach()
        #expect(try fixture.traces() == [])
        #expect(try topology.connect(from: 0, "10.7.0.1", 81))
    }

    @Test("a device without a link-layer header is guarded alike")
    func tunnel() throws {
        let fixture = try LoaderFixture()
        let (topology, place) = (fixture.topology, fixture.place)
        let ends = try [(topology.node, 1, 2), (topology.pods[0], 2, 1)].map { namespace, own, other in
            try BackgroundCommand([
                "ip", "netns", "exec", namespace, "socat",
                "TUN:10.9.0.\(own)/24,tun-type=tun,tun-name=tun9,iff-no-pi,iff-up",
                "UDP-DATAGRAM:10.7.0.\(other):7000,bind=10.7.0.\(own):7000",
            ])
        }
        let servers = try [80, 81].map { try listen(on: topology.node, $0) }
        defer { for command in ends + servers { command.stop() } }
        for _ in 0..<50 where try !topology.connect(from: 0, "10.9.0.1", 80) { usleep(50_000) }
        #expect(try topology.connect(from: 0, "10.9.0.1", 81))
        let image = try image(also: [10, 9, 0, 2])
        _ = try place.onNode { try place.loader { $0.devices = ["tun9"] }.apply(image) }
        #expect(try topology.connect(from: 0, "10.9.0.1", 80))
        #expect(try !topology.connect(from: 0, "10.9.0.1", 81))
    }

    @Test("a policy that cuts the session or the API server is refused, unless forced; the loopback is no device")
    func lockedOut() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        func refusal(_ image: Image, _ adjust: (inout Loader.Options) -> Void) throws -> String {
            do {
                _ = try place.onNode {
                    try place.loader {
                        $0.devices = ["veth-2"]
                        adjust(&$0)
                    }.plan(image)
                }
                return ""
            } catch let error as LoaderError { return error.description }
        }
        let open = try image()
        let closed = try image(closed: true)
        #expect(
            try refusal(open) { $0.session = RemoteSession(sshConnection: "10.7.0.2 5555 10.7.0.1 22") }
                .contains("would cut the SSH session that this runs in (10.7.0.2 to port 22), by policy.yaml:3"))
        #expect(try refusal(open) { $0.session = RemoteSession(sshConnection: "10.7.0.2 5555 10.7.0.1 80") } == "")
        let server = [try #require(IPAddress("10.7.0.2"))]
        #expect(try refusal(open) { $0.apiServers = server } == "")
        #expect(try refusal(closed) { $0.apiServers = server }.contains("would cut the API server at 10.7.0.2"))
        #expect(
            try refusal(closed) {
                $0.apiServers = server
                $0.isForced = true
            } == "")
        #expect(try refusal(open) { $0.devices = ["lo"] }.contains("'lo' is the loopback"))
        #expect(try refusal(open) { $0.devices = ["eth7"] }.contains("there is no device 'eth7'"))
        #expect(try refusal(open) { $0.devices = ["veth-3"] }.contains("is an endpoint's interface"))
        #expect(try fixture.traces() == [])
    }
}
