"""SHA-256 of the complete contents of domains, as `prepared.digest_of` computes it.

Absent are domains that nobody could compare here (SVHN, Office-31, USPS in LIBSVM's own encoding, the complete traffic
signs) and photographs, whose decoded bytes are a matter of the decoder's version.
"""

DIGESTS = {
    "moons": "33376eef49a0b4e512c2d6e38ae4e9552e6107f83c78a9e01d6385b4aa2525aa",
    "moons_rotated": "0ed4330ac6ad95b695ce2e2765e07b0a14abfb646b0411543eca4171a1296fc5",
    "digits": "01224cb76195ab3e33d98b2d0abfcbcada0de8adf91ecd9b9c8f53342a7d81f4",
    "digits_m": "f87ef5b6bdeffb5559e65c48d2f9c3d31d4cbb000a41bacbf8b1adac7ec7eef6",
    "syn_digits": "a0f60011755dae18c354585ed6d76e73e8e8a9b9b5178137aec8cffd44457301",
    "syn_digits_m": "538115ad00f5a554acecd700cbc90a9802a86156a8b052475bb2503281924b00",
    "syn_numbers": "2a9deb5e7263d0b7f3c7fa2264097bf2d48481fc3e523af69a4387f637826268",
    "mnist": "8575306e94b5bcf28137a781dd9ad0b58d53230f9c428f8ef6dbece90de215ec",
    "mnist_m": "5b0a969abd46e2b5f146eb9e4a45230965bffb679fedf644d1736106825fa6c4",
    "mnist_m_binarised": "15557f81b0230193da9e6bb476cb21090672631926533701a5299f89bc4b3875",
    "amazon_books": "265319c29920fca10d651dd8e1254a49f975f380b17336f6eb3b028db393eaba",
    "amazon_dvd": "36baa0b8678e536f85dac36724f8733a19c84d17d38ed1e836bdf8fde3e4510c",
    "amazon_electronics": "5397baad31c1133b877847068229b87abae6d8164284e9e5cfe6ffda347732d2",
    "amazon_kitchen": "58cbdaab84539a81e6e5927670878b9217f636c62d671e90fa1cdcc6b0615661",
    "office_caltech10_amazon_surf": "201e3e9810872023aff8eeed1289d44ad7739eb1dc3a4ed6f8d2477e89b8a9e5",
    "office_caltech10_caltech10_surf": "4ad528b9fd51ea39e2476446c00abad19ca99ca15e57b8296a697a0a1e560bd8",
    "office_caltech10_dslr_surf": "b34fd05b9197358f41c91b08faa6185571fafa8a251976597030d8f63dd89acd",
    "office_caltech10_webcam_surf": "0782c1a0966a9faf01d7c2419c9914e5f1c30ceaceb78381c9c88b17b9385bbf",
    "office_caltech10_amazon_googlenet": "f97e337853bd6f38e0219684d5f33d575dc07cf8be716b22cceded5a4806c856",
    "office_caltech10_dslr_googlenet": "a21102f94139bf250af9e45ddb8a71929b2c0164f87b54671790217b11907cbc",
    "office_caltech10_webcam_googlenet": "671dd92dcba9e3ed1bb399ce88b502e004a5e4ae9206c175957678543713f2fb",
}
