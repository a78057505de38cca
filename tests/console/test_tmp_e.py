from .test_volumes_of_segmentations import *
import dataclasses
def test_x(phantom, drawn, solids, expected):
    result, snapshot = quantified(phantom, seg(phantom, drawn, solids, "Liver", *TUMOURS))
    e, s0 = quantified(phantom, phantom.structures)
    for a, b in zip(s0.volumes, snapshot.volumes):
        print(a.name, a.volume_ml, b.volume_ml, a.contour_volume_ml, b.contour_volume_ml, np.abs(a.occupancy-b.occupancy).max(), np.sqrt(((a.occupancy-b.occupancy)**2).sum()/(a.occupancy>0).sum()))
    for n in e.volumes:
        print(n, {f.name:(getattr(e.volumes[n],f.name),getattr(result.volumes[n],f.name)) for f in dataclasses.fields(e.volumes[n]) if getattr(e.volumes[n],f.name)!=getattr(result.volumes[n],f.name)})
    for f in dataclasses.fields(e):
        x,y=getattr(e,f.name),getattr(result,f.name)
        if f.name not in('volumes','maps') and x!=y: print(f.name,x,y)
    assert 0
