module hotswap-helper

go 1.21
