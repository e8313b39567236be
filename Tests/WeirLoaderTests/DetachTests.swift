import CLibbpf
import Foundation
import LoaderBed
import TestNetwork
import Testing
import WeirKernel
import WeirLoader

@Suite("Letting a node go", .serialized, .enabled(if: kernelTestsAreWanted))
struct DetachTests {
    /// What a detach leaves that ends right after its store.
    private func release(_ fixture: LoaderFixture) throws {
        let map = try #require(try KernelMap.pinned(at: fixture.place.pinPath + "/maps/control"))
        let control = try ControlWord(map)
        control.store(control.load().withRevision(0))
    }

    @Test(
        "after the store everything passes, and apply begins again: no flow is remembered under a number that returns")
    func interrupted() throws {
        let fixture = try LoaderFixture()
        let (topology, place) = (fixture.topology, fixture.place)
        let listener = try topology.listen(in: 1, 81)
        defer { listener.stop() }
        _ = try place.apply(HandmadeImage.make(port: 81))
        #expect(try topology.connect(from: 0, "10.7.0.3", 81))
        let former = try #require(try KernelMap.pinned(at: place.pinPath + "/maps/conntrack4_new")).id
        try release(fixture)
        #expect(try topology.ping(from: 0, "10.7.0.3"))
        let status = try #require(try place.status())
        #expect(status.revision == 0 && status.problems.count == 1)
        let plan = try place.onNode { try place.loader().plan(HandmadeImage.make(port: 80)) }
        #expect(plan.isFirst && plan.attach.count == 4)

        let outcome = try place.apply(HandmadeImage.make(port: 80))
        #expect(outcome.revision == 1 && outcome.attached.count == 4)
        #expect(try #require(try KernelMap.pinned(at: place.pinPath + "/maps/conntrack4_new")).id != former)
        #expect(try !topology.connect(from: 0, "10.7.0.3", 81))
        #expect(try place.onNode { try place.loader().examine() }.findings == [])
        try release(fixture)
        #expect(try place.detach().detached.count == 4)
        #expect(try fixture.traces() == [])
    }

    @Test("a frozen control is let go hook by hook, and says so", arguments: [AttachMode.tcx, .clsact])
    func frozen(mode: AttachMode) throws {
        let fixture = try LoaderFixture(mode)
        let place = fixture.place
        _ = try place.apply(HandmadeImage.make(port: 80))
        // SAFETY: the path outlives the call.
        let control = unsafe bpf_obj_get(place.pinPath + "/maps/control")
        #expect(bpf_map_freeze(control) == 0)
        close(control)
        let error = #expect(throws: LoaderError.self) { try place.apply(HandmadeImage.make(port: 81)) }
        #expect(error?.description.contains("the map is frozen") == true)
        #expect(try place.status()?.revision == 1)
        let outcome = try place.detach()
        #expect(!outcome.wasAtOnce && outcome.detached.count == 4)
        #expect(try fixture.traces() == [])
    }

    @Test("the control that the programs read is the one that is written, whatever is pinned by that name")
    func otherControl() throws {
        let fixture = try LoaderFixture()
        let place = fixture.place
        _ = try place.apply(HandmadeImage.make(port: 80))
        let pin = place.pinPath + "/maps/control"
        let read = try #require(try KernelMap.pinned(at: pin))
        try run("rm", pin)
        try KernelMap(creating: read.schema).pin(at: pin)
        #expect(try place.detach().wasAtOnce)
        #expect(try ControlState(reading: read).value.revision == 0)
        #expect(try fixture.traces() == [])
    }
}
