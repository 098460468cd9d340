module hotswap-dev

go 1.21
