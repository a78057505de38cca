"""Words that sentences, names of structures and coded values need, though people and places may be called so too."""

from __future__ import annotations

_ENGLISH = """
a an and any are as at be been before but by can did do does due each end for from give given go good had has have he
her his i if in is it its just last left less let long low man may me more most must my new no nor not now of off old on
once one only or other our out over own part per right run same say see set she short side since small so some such than
that the their them then there these they this time to too two under until up upon us use used was we well were what
when where which while who will with within would yes you your young true false
"""
_TITLES = """
dr drs ir mr mrs ms prof professor doctor physician nurse operator user van von de der den la le du el al bin
"""
_FIELD = """
absorbed activity anatomy aorta arterial artery axial baseline bile biliary bladder body bolus bowel brain breath
caudate chest clinical common contour contours coronal cyst derived dose dosimetry dual duct echo emission fast fat
field flow fraction fractions gradient head healthy heart hepatic high hold holmia holmium image images imaging
injection kernel kidney left lesion limit liver lobe local localizer lower lung lungs magnitude main manual map maps
marrow mask mean mechanical medical medicine medium microspheres middle mixed mr mri multi native necrosis node none
norm normal nuclear original out outside patient phantom phase plan planning portal position post posterior pre
primary quadrant radioembolization radiology reference region registration research result results right sagittal scan
scanner scout secondary segment segments semiautomatic separate sequence series shunt signal slice spin spleen star
stomach structure structures study table tace tare target test thorax tissue total treated treatment trend tumor
tumors tumour tumours unknown vein venous vessel vial view volume volumes water whole zone
"""
_MAKERS_AND_PLACES = """
canon centre center client console copy demo demonstration department export ge healthcare healthineers hospital import
institute listener localhost philips server siemens systems toshiba united university
anon anonymous anonymized automatic
"""
COMMON_WORDS = frozenset(f"{_ENGLISH} {_TITLES} {_FIELD} {_MAKERS_AND_PLACES}".split())
