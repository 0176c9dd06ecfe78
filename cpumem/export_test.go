package cpumem

import "unsafe"

// What the assembly takes for granted of Handle and claim.
const (
	HandleTable  = unsafe.Offsetof(Handle{}.table)
	HandleBase   = unsafe.Offsetof(Handle{}.base)
	HandleShift  = unsafe.Offsetof(Handle{}.shift)
	HandleClaim  = unsafe.Offsetof(Handle{}.claim)
	ClaimTable   = unsafe.Offsetof(claim{}.cidTable)
	ClaimShards  = unsafe.Offsetof(claim{}.shards)
	ClaimMask    = unsafe.Offsetof(claim{}.shardMask)
	TableEntries = tableEntries
)

// MapAll gives every region its memory, as if every CPU had been used.
func (d *Domain) MapAll() error {
	for i := range d.Regions() {
		d.owners[i].Lock()
		_, err := d.mapOwned(i)
		d.owners[i].Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// FreeWords returns how many words are not allocated.
func (d *Domain) FreeWords() int {
	d.words.mu.Lock()
	defer d.words.mu.Unlock()
	return d.words.free
}

// Entry returns what sections see of region i, or 0.
func (d *Domain) Entry(i int) uintptr {
	if d.table == nil {
		return 0
	}
	return d.table.entry(i).Load()
}
