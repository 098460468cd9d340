module hotswap-patch

go 1.21
