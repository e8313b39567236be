internal import WeirABI
internal import WeirMaps
internal import WeirModel

extension Image {
    /// The same without some of the node's endpoints: nobody is known under their addresses any longer.
    package func leavingOut(_ names: Set<String>) -> Image {
        guard endpoints.contains(where: { names.contains($0.name) }) else { return self }
        var copy = self
        let gone = Set(endpoints.filter { names.contains($0.name) }.flatMap(\.addresses).map(\.bytes))
        copy.endpoints = endpoints.filter { !names.contains($0.name) }.enumerated().map { number, record in
            var record = record
            record.id = UInt32(number) + 1
            if var value = weir_endpoint(abiBytes: record.value) {
                value.id = record.id
                record.value = value.abiBytes
            }
            return record
        }
        for map in [SlotMap.ipcache4, .ipcache6] {
            let kept = entries(map).filter { !gone.contains($0.key) }
            copy.maps[map] = kept.isEmpty ? nil : kept
        }
        return copy
    }
}
