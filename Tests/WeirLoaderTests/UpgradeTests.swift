import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirKernel
import WeirLoader

@Suite("Other programs in the place of those that run", .serialized, .enabled(if: kernelTestsAreWanted))
struct UpgradeTests {
    /// An open TCP connection of pod 2 to port 80 of pod 3, which repeats what it is told.
    private final class Conversation {
        private let server: BackgroundCommand
        private let client = Process()
        private let (questions, answers) = (Pipe(), Pipe())

        init(_ topology: Topology) throws {
            server = try BackgroundCommand([
                "ip", "netns", "exec", topology.pods[1], "socat", "TCP-LISTEN:80,reuseaddr", "EXEC:cat",
            ])
            client.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            client.arguments = [
                "ip", "netns", "exec", topology.pods[0], "socat", "-", "TCP:10.7.0.3:80,retry=50,interval=0.1",
            ]
            client.standardInput = questions
            client.standardOutput = answers
            try client.run()
        }

        deinit {
            try? questions.fileHandleForWriting.close()
            client.terminate()
            server.stop()
        }

        func isAnswered(_ word: String) throws -> Bool {
            try questions.fileHandleForWriting.write(contentsOf: Data("\(word)\n".utf8))
            var request = pollfd(fd: answers.fileHandleForReading.fileDescriptor, events: Int16(POLLIN), revents: 0)
            // SAFETY: one request, alive during the call.
            guard unsafe poll(&request, 1, 2000) == 1 else { return false }
            return String(decoding: answers.fileHandleForReading.availableData, as: UTF8.self) == "\(word)\n"
        }
    }

    @Test("a connection stays open over an upgrade, and is counted on", arguments: [AttachMode.tcx, .clsact])
    func connection(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode)
        let place = fixture.place
        let image = HandmadeImage.make(port: 80)
        _ = try place.apply(image)
        let conversation = try Conversation(fixture.topology)
        #expect(try conversation.isAnswered("before"))
        let conntrack = try #require(try KernelMap.pinned(at: place.pinPath + "/maps/conntrack4"))
        let flows = try conntrack.entries().map(\.key)
        #expect(flows.count == 2)  // As each of the two pods sees it.

        let outcome = try place.onNode { try place.loader { $0.programs.insert(.dhcp) }.apply(image) }
        #expect(outcome.swapped.count == 4 && outcome.attached == [] && outcome.detached == [])
        #expect(try conversation.isAnswered("after"))
        let kept = try #require(try KernelMap.pinned(at: place.pinPath + "/maps/conntrack4"))
        #expect(kept.id == conntrack.id)
        #expect(
            try kept.entries().map(\.key).sorted { $0.lexicographicallyPrecedes($1) }
                == flows.sorted { $0.lexicographicallyPrecedes($1) })
        // What the other policy refuses ends, whatever programs enforce it.
        _ = try place.apply(HandmadeImage.make(port: 81))
        #expect(try !conversation.isAnswered("refused"))
    }
}
