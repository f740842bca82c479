"""Regulons read from Reactome: who regulates whom, and with which sign.

Reactome's curators describe how factors switch genes on and off, pathway by pathway, and its data are free (CC0); its
gene lists hold a pathway's factors, partners and targets alike, without their roles. The roles are written down here,
after the pathways' titles and summaries. A target must be in the pathway that is named for it.
"""

from collections.abc import Collection, Mapping

import pandas as pd

from starter.errors import InputError

COLUMNS = ["regulator", "target", "sign"]
ACTIVATES, REPRESSES = 1, -1
REGULONS: tuple[tuple[str, str, int, str], ...] = (
    (
        "R-HSA-909733",
        "STAT1 STAT2 IRF9",
        ACTIVATES,
        "ADAR BST2 GBP2 IFI27 IFI35 IFI6 IFIT1 IFIT2 IFIT3 IFIT5 IFITM1 IFITM2 IFITM3 IRF7 ISG15 ISG20 MX1 MX2 OAS1 "
        "OAS2 OAS3 OASL PSMB8 RNASEL RSAD2 SAMHD1 SOCS1 STAT1 STAT2 USP18 XAF1 HLA-A HLA-B HLA-C HLA-E HLA-F",
    ),
    (
        "R-HSA-877300",
        "STAT1",
        ACTIVATES,
        "B2M CIITA GBP1 GBP2 GBP3 GBP4 GBP5 HLA-A HLA-B HLA-C HLA-DPA1 HLA-DPB1 HLA-DQA1 HLA-DQB1 HLA-DRA HLA-DRB1 "
        "HLA-E HLA-F ICAM1 IFI30 IRF1 IRF8 IRF9 PML SOCS1 SOCS3 SP100 TRIM21 TRIM22 VCAM1",
    ),
    ("R-HSA-877300", "IRF1", ACTIVATES, "B2M CIITA GBP2 HLA-A HLA-B HLA-C OAS1 OAS2 TRIM21"),
    (
        "R-HSA-2426168",
        "SREBF1 SREBF2",
        ACTIVATES,
        "ACACA CYP51A1 DHCR7 ELOVL6 FASN FDFT1 FDPS GGPS1 GPAM HMGCR HMGCS1 IDI1 LSS MVD MVK PMVK SC5D SCD SQLE TM7SF2",
    ),
    ("R-HSA-1655829", "SREBF2", ACTIVATES, "INSIG1"),
    (
        "R-HSA-381038",
        "XBP1",
        ACTIVATES,
        "ACADVL ADD1 ARFGAP1 ATP6V0D1 CTDSP2 CUL7 CXXC1 DCTN1 DDX11 DNAJB11 DNAJB9 DNAJC3 EDEM1 EXTL1 EXTL2 EXTL3 "
        "FKBP14 GFPT1 GOSR2 GSK3A HDGF HYOU1 KDELR3 KLHDC3 LMNA MYDGF PDIA5 PDIA6 PPP2R5B PREB SEC31A SERP1 SHC1 "
        "SRPRA SRPRB SSR1 SYVN1 TATDN2 TLN1 TPP1 TSPYL2 WFS1 WIPI1 YIF1A ZBTB17",
    ),
    ("R-HSA-381183", "ATF6", ACTIVATES, "CALR DDIT3 HSP90B1 HSPA5 XBP1"),
    ("R-HSA-380994", "ATF4", ACTIVATES, "ASNS ATF3 CCL2 CEBPB CXCL8 DDIT3 HERPUD1 IGFBP1"),
    ("R-HSA-1234158", "HIF1A EPAS1", ACTIVATES, "CA9 CITED2 EPO HIGD1A VEGFA"),
    (
        "R-HSA-3371571",
        "HSF1",
        ACTIVATES,
        "CRYAB DEDD2 DNAJB1 HSP90AA1 HSPA1A HSPA1B HSPA1L HSPA2 HSPA6 HSPA8 HSPB8 HSPH1 MRPL18 SERPINH1 UBB",
    ),
    (
        "R-HSA-6791312",
        "TP53",
        ACTIVATES,
        "ARID3A BAX BTG2 CDKN1A E2F7 GADD45A PCBP4 PLAGL1 PLK2 PLK3 RGCC SFN",
    ),
    ("R-HSA-6791312", "TP53", REPRESSES, "AURKA CCNA2 CCNB1 CDC25C CDK1 CENPJ E2F1"),
    (
        "R-HSA-5633008",
        "TP53",
        ACTIVATES,
        "AIFM2 APAF1 BAX BBC3 BID BNIP3L CASP1 CASP10 CASP6 FAS IGFBP3 NDRG1 PERP PIDD1 PMAIP1 STEAP3 TNFRSF10A "
        "TNFRSF10B TNFRSF10C TNFRSF10D TP53AIP1 TP53I3 TP53INP1 TRIAP1",
    ),
    ("R-HSA-5633008", "TP53", REPRESSES, "BIRC5"),
    ("R-HSA-6796648", "TP53", ACTIVATES, "DDB2 FANCC MLH1 MSH2 PMS2"),
    ("R-HSA-5628897", "TP53", ACTIVATES, "DDIT4 GLS2 GPX2 PRKAB1 PTEN RRM2B SCO2 SESN1 SESN2 TIGAR TSC2"),
    (
        "R-HSA-69205",
        "E2F1",
        ACTIVATES,
        "CCNA1 CCNE1 CDC25A CDC45 CDC6 CDK1 CDT1 DHFR FBXO5 ORC1 PCNA POLA1 RRM2 TK1 TYMS",
    ),
    (
        "R-HSA-69205",
        "E2F4",
        REPRESSES,
        "CCNA1 CCNE1 CDC25A CDC45 CDC6 CDK1 CDT1 DHFR FBXO5 ORC1 PCNA POLA1 RRM2 TK1 TYMS",
    ),
    ("R-HSA-1362277", "E2F4", REPRESSES, "CDC25A E2F1 MYC TOP2A"),
    ("R-HSA-2173796", "SMAD3 SMAD4", ACTIVATES, "ATP1B4 CDKN2B JUNB RNF111 SERPINE1 SMAD7"),
    ("R-HSA-2173796", "SMAD3 SMAD4", REPRESSES, "MYC"),
    ("R-HSA-9617828", "FOXO1 FOXO3 FOXO4", ACTIVATES, "BTG1 CAV1 CCNG2 CDKN1A CDKN1B GADD45A KLF4 MSTN PCBP4 RBL2"),
    ("R-HSA-9614657", "FOXO3", ACTIVATES, "BBC3 BCL2L11 BCL6 FASLG PINK1 STK11"),
    ("R-HSA-9615017", "FOXO1 FOXO3", ACTIVATES, "CAT FBXO32 IGFBP1 PCK1 PPARGC1A SOD2"),
    ("R-HSA-2122947", "RBPJ", ACTIVATES, "HES1 HES5 HEY1 HEY2 HEYL MYC"),
    ("R-HSA-8951430", "TCF7 TCF7L2 LEF1", ACTIVATES, "CCND1 MYC"),
    ("R-HSA-8951430", "RUNX3", REPRESSES, "CCND1 MYC"),
    ("R-HSA-8878159", "RUNX3", ACTIVATES, "BCL2L11 CDKN1A ITGA4 ITGAL SPP1"),
    ("R-HSA-8939236", "RUNX1", ACTIVATES, "ITCH SPI1"),
    ("R-HSA-8936459", "RUNX1", ACTIVATES, "GP1BA ITGA2B MYL9 NFE2 NR4A3 PF4 PRKCQ THBS1"),
    (
        "R-HSA-1989781",
        "PPARA",
        ACTIVATES,
        "ABCA1 ACADM ACOX1 ACSL1 ALAS1 ANGPTL4 CD36 CPT1A CPT2 FADS1 FDFT1 FHL2 G0S2 GLIPR1 GRHL1 HMGCR HMGCS1 "
        "HMGCS2 ME1 NR1H3 PEX11A PLIN2 RGL1 SLC27A1 TIAM2 TNFRSF21 TRIB3 TXNRD1",
    ),
    ("R-HSA-1368108", "CLOCK ARNTL NPAS2", ACTIVATES, "BHLHE40 BHLHE41 DBP KLF15 NAMPT NOCT SERPINE1"),
    ("R-HSA-9031628", "CREB1 SRF", ACTIVATES, "ARC EGR1 FOS FOSB JUNB SGK1 ID1 TRIB1 VGF"),
    ("R-HSA-9031628", "EGR1", ACTIVATES, "CDK5R1 ID3 NAB2 RRAD"),
    ("R-HSA-9031528", "NR1H2 NR1H3", ACTIVATES, "PLIN1"),
    ("R-HSA-9029569", "NR1H2 NR1H3", ACTIVATES, "ABCA1 ABCG1 APOE ARL4C EEPD1 PLTP"),
    ("R-HSA-9031525", "NR1H2 NR1H3", ACTIVATES, "MYLIP"),
    ("R-HSA-8866911", "TFAP2A", ACTIVATES, "CDKN1A"),
    ("R-HSA-8866911", "TFAP2A", REPRESSES, "MYC"),
    (
        "R-HSA-6785807",
        "STAT6",
        ACTIVATES,
        "ALOX15 CCL11 CCL22 COL1A2 F13A1 FCER2 GATA3 IGHE IL4R MAOA SOCS1",
    ),
    (
        "R-HSA-6785807",
        "STAT3",
        ACTIVATES,
        "AKT1 BATF BCL2 BCL2L1 BCL6 BIRC5 CCND1 CDKN1A CEBPD FOS FSCN1 HGF HIF1A ICAM1 JUNB LIF MCL1 MMP9 MUC1 MYC OSM "
        "PIM1 PTGS2 RORA SOCS3 TIMP1 TWIST1 VEGFA VIM ZEB1",
    ),
    (
        "R-HSA-9018519",
        "ESR1",
        ACTIVATES,
        "BCL2 CCND1 CTSD CXCL12 CXXC5 EBAG9 FOS GREB1 KANK1 KCTD6 KPNA2 MYB MYC NRIP1 PGR TFF1 TFF3 TGFA",
    ),
)
"""Pathway, factors, sign, targets."""


def read_regulons(pathways: Mapping[str, Collection[str]]) -> pd.DataFrame:
    """Give the regulons as a table.

    Parameters
    ----------
    pathways
        Reactome's pathways: id to gene symbols.

    Returns
    -------
    Columns regulator, target and sign (1 or -1), each pair once, sorted.

    Raises
    ------
    InputError
        If a pathway is not there or has not a target or a factor that is read from it, or a pair has both signs.
    """
    rows = set()
    for pathway, regulators, sign, targets in REGULONS:
        named = {*regulators.split(), *targets.split()}
        if missing := named - set(pathways.get(pathway, ())):
            msg = f"Reactome's {pathway} does not hold {', '.join(sorted(missing))}; correct REGULONS or its release"
            raise InputError(msg)
        rows |= {(factor, target, sign) for factor in regulators.split() for target in targets.split()}
    table = pd.DataFrame(sorted(rows), columns=COLUMNS)
    table = table[table["regulator"] != table["target"]]
    if (twice := table[table.duplicated(COLUMNS[:2])]).size:
        msg = f"both signs are written for {', '.join(twice['regulator'] + '-' + twice['target'])}"
        raise InputError(msg)
    return table.reset_index(drop=True)
